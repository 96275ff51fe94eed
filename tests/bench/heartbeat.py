#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""heartbeat.py LOG: watches a guest's serial log until SIGTERM, then prints its longest silence in seconds.

A guest of tools/lab says "beat NUMBER UPTIME" every 0.15 s. Its own clock stands still while it does, so what counts is
when a line arrives here.
"""

import os
import signal
import sys
import threading
import time

_PAUSE = 0.005  # seconds between two looks at the log


class Watch:
    """From start to stop: how long was the longest time without a beat? One thread of its own."""

    def __init__(self, log):
        self._file = os.open(log, os.O_RDONLY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.longest = 0.0
        self.beats = 0

    def start(self):
        os.lseek(self._file, 0, os.SEEK_END)
        self._thread.start()
        return self

    def stop(self):
        """Returns the longest silence; one that has not ended yet counts, too."""
        self._stop.set()
        self._thread.join()
        os.close(self._file)
        return self.longest

    def _run(self):
        last = time.monotonic()
        line = b""
        while not self._stop.wait(_PAUSE):
            now = time.monotonic()
            data = os.read(self._file, 1 << 16)
            *lines, line = (line + data).split(b"\n")
            beats = sum(text.startswith(b"beat ") for text in lines)
            self.longest = max(self.longest, now - last)
            if beats:
                self.beats += beats
                last = now


def main():
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    watch = Watch(sys.argv[1]).start()
    stop.wait()
    print(f"{watch.stop():.2f}")


if __name__ == "__main__":
    main()
