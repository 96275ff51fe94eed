# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program, run with faults: what it said, how it ended, and whether the fault took place."""

import dataclasses
import os
import signal
import subprocess
import tempfile
import time


@dataclasses.dataclass
class Result:
    status: int  # negative: died of that signal
    said: str
    hung: bool = False
    fired: bool = False

    @property
    def killed(self):
        return self.fired and self.status == -signal.SIGKILL

    @property
    def done(self):
        return self.status == 0

    def in_short(self):
        end = "does not end" if self.hung else f"status {self.status}"
        return f"{end}: {self.said.strip() or 'nothing said'}"


class Running:
    """A run that was started. Its log tells of faults before it ends."""

    def __init__(self, process, log, output, limit):
        self._process = process
        self._log = log
        self._output = output
        self._limit = limit

    def fired(self):
        try:
            with open(self._log, encoding="ascii") as log:
                return any(line.startswith("fired ") for line in log)
        except FileNotFoundError:
            return False

    def wait_for_fault(self):
        """False if it ended without, or takes too long."""
        end = time.monotonic() + self._limit
        while not self.fired():
            if self._process.poll() is not None:
                return self.fired()
            if time.monotonic() > end:
                return False
            time.sleep(0.005)
        return True

    def over(self):
        return self._process.poll() is not None

    def wait(self):
        hung = False
        try:
            self._process.wait(self._limit)
        except subprocess.TimeoutExpired:
            hung = True
            self._process.kill()
            self._process.wait()
        self._output.seek(0)
        said = self._output.read().decode(errors="replace")
        self._output.close()
        return Result(self._process.returncode, said, hung, self.fired())


class Program:
    def __init__(self, vmferry, library, limit):
        """`limit`: seconds after which a run hangs."""
        self.vmferry = os.path.abspath(vmferry)
        self.library = os.path.abspath(library)
        self._limit = limit

    def start(self, arguments, scene, fault="", log=""):
        """`log` is a file of its own for this run; without it nothing stands before the program."""
        environment = dict(os.environ, LC_ALL="C")
        if log:
            environment.update(LD_PRELOAD=self.library, VMFERRY_FAULT=fault, VMFERRY_FAULT_LOG=log,
                               VMFERRY_FAULT_PATHS=":".join(scene.paths))
        output = tempfile.TemporaryFile()
        process = subprocess.Popen([self.vmferry, *arguments], cwd=scene.room, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return Running(process, log, output, self._limit)

    def run(self, arguments, scene, fault="", log=""):
        return self.start(arguments, scene, fault, log).wait()


def read_counts(log):
    """{call: (times, [messages sent during the first, the second...])}"""
    counts = {}
    with open(log, encoding="ascii") as lines:
        for line in lines:
            word, *rest = line.split()
            if word == "called":
                counts[rest[0]] = (int(rest[1]), [int(number) for number in rest[2:]])
    return counts
