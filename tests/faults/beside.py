# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who comes while a run is held in the middle of a call, and what must be true when both are gone."""

import os
import queue
import re
import subprocess
import threading
import time

import images

_TICK = 0.02  # seconds: longer than one of the clock that file systems date their files by
_GUEST_TRIES = 3  # seconds after which a guest that has not written waits for something
_GUEST_WAITS = 60
_SECOND_RUN = 15  # seconds that a second run may wait for the first before that one goes on


class Visitor:
    def __init__(self, program, scene):
        self.program = program
        self.scene = scene

    def come(self):
        raise NotImplementedError

    def watch(self, running):
        """The run goes on."""

    def leave(self, result, done):
        """The run ended with `result`; `done`: it says that the target is complete. Violated promises, in words."""
        raise NotImplementedError

    def _left(self, *said):
        said = "\n".join(said)
        return [f"left {name}, and nobody names it" for name in self.scene.left() if name not in said]


def _wait_for_end(running):
    """Or for so long that it must be waiting for the other."""
    end = time.monotonic() + _SECOND_RUN
    while not running.over() and time.monotonic() < end:
        time.sleep(0.01)


class SecondRun(Visitor):
    """Another run to the same target, from another source, from its begin to its end."""

    def come(self):
        self.running = self.program.start(self.scene.second_command(), self.scene)
        _wait_for_end(self.running)

    def leave(self, result, done):
        second = self.running.wait()
        scene = self.scene
        second_done = second.done or "is complete" in second.said
        first_there, second_there = scene.holds(scene.image.content), scene.holds(images.OTHER.content)
        wrong = self._left(result.said, second.said)
        if second.hung or second.status < 0:
            wrong.append(f"the second run: {second.in_short()}")
        if done and second_done and not scene.forced:
            wrong.append("two runs to one new name both say done")
        elif done and second_done and not (first_there or second_there):
            wrong.append(f"two runs say done, the name holds {scene.state()}")
        elif done and not second_done and not first_there:
            wrong.append(f"says done, the name holds {scene.state()} (second run: {second.in_short()})")
        elif second_done and not done and not second_there:
            wrong.append(f"the second run says done, the name holds {scene.state()}")
        elif not (done or second_done or scene.state_is_free) and scene.state() != scene.before:
            wrong.append(f"both failed, the name holds {scene.state()} (second run: {second.in_short()})")
        return wrong


class SecondHalf(SecondRun):
    """A second run comes as far as its first write; the first one ends; then the second goes on."""

    def come(self):
        self.go_on = self.scene.path("log4")
        fault = f"{self.scene.data_call}:1:hold:{self.go_on}"
        self.running = self.program.start(self.scene.second_command(), self.scene, fault, self.scene.path("log3"))
        self.running.wait_for_fault()

    def watch(self, running):
        _wait_for_end(running)
        with open(self.go_on, "w", encoding="ascii"):
            pass


class SecondInPlace(Visitor):
    """The same command twice at a time: whoever works or is refused, the bytes stay."""

    def come(self):
        self.second = self.program.run(self.scene.command, self.scene)

    def leave(self, result, done):
        wrong = [] if self.scene.source_intact() else ["the content changed"]
        if self.second.hung or self.second.status < 0:
            wrong.append(f"the second run: {self.second.in_short()}")
        return wrong


class NameTaken(Visitor):
    """Somebody makes a file of the target's name."""
    mine = b"somebody else's\n"

    def come(self):
        try:
            with open(self.scene.target, "xb") as file:
                file.write(self.mine)
            self.made = True
        except FileExistsError:
            self.made = False

    def leave(self, result, done):
        wrong = self._left(result.said)
        if self.made and not self.scene.holds(self.mine):
            wrong.append("somebody's file of that name is gone")
        if done and not self.scene.holds(self.scene.image.content):
            wrong.append(f"says done, the name holds {self.scene.state()}")
        return wrong


class Guest(Visitor):
    """A machine opens the target, or what is changed in place, with QEMU's own locks, and writes to it."""
    places = (images.EARLY, images.IN_ZEROS)

    def come(self):
        self.guest = subprocess.Popen(("qemu-io", "-f", "raw", self.scene.guest_target), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.scene.room)
        self._lines = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._write(self.places[0])
        self.opened = self._has_written(_GUEST_TRIES)

    def _listen(self):
        for line in self.guest.stdout:
            self._lines.put(line)
        self._lines.put("failed: it is gone")

    def _write(self, place):
        try:
            self.guest.stdin.write(f"write -P 0xa5 {place} {len(images.MARK)}\nflush\n")
            self.guest.stdin.flush()
        except BrokenPipeError:
            pass  # it could not open, and says so

    def _has_written(self, seconds):
        """None: it waits, for a lock."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                line = self._lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                return None
            if "wrote " in line:
                return True
            if re.search("error|can't|failed", line, re.IGNORECASE):
                return False
        return None

    def leave(self, result, done):
        wrong = []
        if self.opened is None:
            self.opened = self._has_written(_GUEST_WAITS)
        if self.opened:
            self._write(self.places[1])
            if not self._has_written(_GUEST_WAITS):
                wrong.append("the guest could not go on writing")
        try:
            self.guest.stdin.close()
            self.guest.wait(_GUEST_WAITS)
        except BrokenPipeError:
            self.guest.wait()
        except subprocess.TimeoutExpired:
            wrong.append("the guest hangs")
            self.guest.kill()
            self.guest.wait()
        return wrong + self._left(result.said) + self._judge(done)

    def _judge(self, done):
        scene = self.scene
        if not self.opened:
            if done and scene.makes_target and not scene.holds(scene.image.content):
                return [f"says done, the name holds {scene.state()}"]
            return []
        if scene.holds(images.with_marks(scene.image.content, *self.places)):
            return []  # the guest came when all was done; or, in place, both worked
        if done:
            return ["a guest opened it, and the run says done over what the guest wrote"]
        return [] if scene.has_marks(*self.places) else ["what the guest wrote is gone"]


class SourceChanger(Visitor):
    """The source changes. What may be called done is the source before, or after, as a whole."""

    def come(self):
        time.sleep(_TICK)
        self.after = self.change(self.scene.source)
        time.sleep(_TICK)

    def change(self, path):
        raise NotImplementedError

    def leave(self, result, done):
        scene = self.scene
        wrong = self._left(result.said)
        if done:
            if not (scene.holds(scene.image.content) or self.after is not None and scene.holds(self.after)):
                wrong.append("says done, the target is neither the source before nor after it changed")
        elif scene.state() != scene.before and not scene.state_is_free:
            wrong.append(f"failed, and the name holds {scene.state()}")
        return wrong


class Overwrite(SourceChanger):
    """At two places, so that a copy of the one before and the other after is seen."""

    def change(self, path):
        with open(path, "r+b") as file:
            for place in (images.EARLY, images.LATE):
                file.seek(place)
                file.write(images.MARK)
                file.flush()
            os.fsync(file.fileno())
        return images.with_marks(self.scene.image.content, images.EARLY, images.LATE)


class Cut(SourceChanger):
    def change(self, path):
        size = os.path.getsize(path) // 2
        os.truncate(path, size)
        return self.scene.image.content[:size] if path.endswith(".raw") else None


class Swap(SourceChanger):
    def change(self, path):
        images.OTHER.store(path + ".swap")
        os.rename(path + ".swap", path)
        return images.OTHER.content


VISITORS = {"second": SecondRun, "second-half": SecondHalf, "second-in-place": SecondInPlace, "taken": NameTaken,
            "guest": Guest, "overwrite": Overwrite, "cut": Cut, "swap": Swap}
