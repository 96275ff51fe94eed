# SPDX-License-Identifier: LGPL-2.1-or-later
"""One cell: the run with its fault, what must hold after it, and the run after that."""

import re
import shlex
import subprocess
import time

import beside
import jobs

PATIENCE = 100  # seconds until Ceph and the program have forgotten a run that was killed
_WAIT = re.compile(r"wait for it|have it open|has the volume open|another vmferry", re.IGNORECASE)
_COMPLETE = re.compile(r"(?<!not )(?<!in)\bcomplete\b", re.IGNORECASE)
# What a hint may ask for that changes something.
_COMMAND = re.compile(r"'((?:rbd (?:rename|mv|rm|remove|trash)|rados .*?\brm|mv|rm|vmferry) [^\n]*?)'(?=[ ,.;:)\n]|$)")
_BROKEN = re.compile(r"internal error|terminate called|Sanitizer|Assertion|double free|please report")


def says_complete(result):
    return bool(_COMPLETE.search(result.said))


def is_done(result):
    return result.done or says_complete(result)


class Trial:
    """What became of a cell. `wrong` is a list of violated promises, in words."""

    def __init__(self, program, cell, scene):
        self.program = program
        self.cell = cell
        self.scene = scene
        self.wrong = []
        self.void = False  # the fault did not take place
        self.hints_followed = []
        self.result = None

    def blame(self, *words):
        self.wrong += words

    # ---- the run with the fault

    def strike(self):
        scene = self.scene
        log = scene.path("log")
        if self.cell.beside:
            self._strike_beside(log)
            return
        self.result = self.program.run(scene.command, scene, self.cell.spec, log)
        if not self.result.fired:
            self.void = True
            return
        self._check_ending(self.result)
        self._check_state()

    def _strike_beside(self, log):
        go_on = self.scene.path("log2")
        running = self.program.start(self.scene.command, self.scene, f"{self.cell.spec}:{go_on}", log)
        if not running.wait_for_fault():
            self.result = running.wait()
            self.void = True
            return
        visitor = beside.VISITORS[self.cell.beside](self.program, self.scene)
        try:
            visitor.come()
        finally:
            with open(go_on, "w", encoding="ascii"):
                pass
        visitor.watch(running)
        self.result = running.wait()
        self._check_ending(self.result)
        self.blame(*visitor.leave(self.result, is_done(self.result)))

    def _check_ending(self, result):
        if result.hung:
            self.blame("does not end")
        elif result.status < 0 and not result.killed:
            self.blame(f"died of signal {-result.status}")
        if _BROKEN.search(result.said):
            self.blame("broke, and says so")
        if result.status > 0 and not result.said.strip() and result.status not in self.scene.good_statuses:
            self.blame("failed without a word")
        self.blame(*self.scene.judge(result))

    def _check_state(self):
        scene, result = self.scene, self.result
        if not scene.source_intact():
            self.blame("the source changed")
        left = scene.left()
        state = scene.state()
        if result.killed:
            if not scene.safe():
                self.blame(f"after the kill the name holds {state}, and the old is nowhere")
            return
        if result.done:
            if scene.makes_target and state != jobs.NEW:
                self.blame(f"says done, but the target holds {state}")
        elif state == jobs.NEW and not scene.state_is_free and scene.makes_target:
            if not says_complete(result):
                self.blame("failed, but the new is under the final name")
        elif state != scene.before and not (scene.state_is_free and scene.safe()):
            self.blame(f"failed, and the name holds {state}")
        self.blame(*(f"left {name}, and does not name it" for name in left if name not in result.said))
        if self.cell.kind in ("short", "delay") or self.cell.spec.endswith("EINTR"):
            if result.status not in scene.good_statuses:
                self.blame("gives up where it should go on")

    # ---- the run after that

    def recover(self):
        """A plain run, and what its hints ask for, until all is well."""
        if self.void:
            return
        scene = self.scene
        end = time.monotonic() + PATIENCE
        command = scene.command
        for _ in range(200):
            result = self.program.run(command, scene)
            self._check_ending(result)
            if result.status in scene.good_statuses:
                break
            if time.monotonic() > end:
                break
            if _WAIT.search(result.said):
                time.sleep(1)
            elif self._target_is_there(result):
                command = [command[0], "--force", *command[1:]]
            elif not self._follow_hint(result):
                break
        self._check_recovered(result)

    def _target_is_there(self, result):
        """Refused because it is complete already: whatever else was left goes when it is replaced."""
        return not self.scene.forced and "exists" in result.said and self.scene.state() == jobs.NEW

    def _follow_hint(self, result):
        found = _COMMAND.search(result.said)
        if not found or len(self.hints_followed) > 4:
            return False
        words = shlex.split(found.group(1))
        self.hints_followed.append(found.group(1))
        subprocess.run(words, cwd=self.scene.room, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if not self.scene.safe():
            self.blame(f"following its hint ({found.group(1)}) loses data")
        return True

    def _check_recovered(self, result):
        scene = self.scene
        if not scene.source_intact():
            self.blame("the source changed in the next run")
        if result.status not in scene.good_statuses:
            self.blame(f"the next run does not end well: {result.in_short()}")
            return
        if scene.makes_target and scene.state() != jobs.NEW:
            self.blame(f"the next run says done, but the target holds {scene.state()}")
        for name in scene.left():
            self.blame(f"left {name} after the next run")

    def report(self):
        lines = [f"{self.cell}"]
        lines += [f"    VIOLATED: {words}" for words in self.wrong]
        if self.result is not None:
            lines.append(f"    it said: {self.result.in_short()}")
        return "\n".join(lines)
