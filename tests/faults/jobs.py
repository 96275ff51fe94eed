# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program is asked to do on files and devices, and how its promises are checked without its word."""

import dataclasses
import os
import shutil
import stat
import subprocess

import images

LOGS = {"log", "log2", "log3", "log4"}  # of the library, and files that a held run waits for
NOTHING, OLD, NEW, ELSE = "nothing", "the old", "the new", "something else"


class Scene:
    """One source and one target, made anew for each cell, and the only one to use them."""
    makes_target = True
    state_is_free = False  # a target without another name: while it is written it holds whatever is there
    forced = False
    good_statuses = frozenset({0})
    data_call = "pwrite"
    image = images.SOURCE

    def __init__(self, room):
        self.room = room
        self.paths = [room]
        self.command = []
        self.before = NOTHING  # what the target holds

    @property
    def guest_target(self):
        """The target as QEMU names it."""
        return self.target

    def path(self, name):
        return os.path.join(self.room, name)

    def state(self):
        """What the target's name holds now."""
        return self.before

    def holds(self, content):
        """Is that what the target's name holds?"""
        return False

    def safe(self):
        """After a kill: the old is there, or the new, under whatever name."""
        return self.state() in (self.before, NEW)

    def left(self):
        """The names of what should not be there when a run is over."""
        return []

    def source_intact(self):
        return True

    def judge(self, result):
        """What else is wrong with that run, in words."""
        return []

    def close(self):
        shutil.rmtree(self.room, ignore_errors=True)


def read(path):
    with open(path, "rb") as file:
        return file.read()


class ToFile(Scene):
    """convert SOURCE out.raw"""
    source_name = "source.raw"

    def __init__(self, room, *options):
        super().__init__(room)
        self.forced = "--force" in options
        self.make_source()
        self.target = self.path("out.raw")
        if self.forced:
            images.OLD.store(self.target)
            self.before = OLD
        self.command = ["convert", "-q", "-j", "1", *options, self.source, self.target]
        self.there = {self.source_name, "out.raw", "other.raw", *LOGS}

    def second_command(self):
        """The same, from another source."""
        other = self.path("other.raw")
        images.OTHER.store(other)
        return [*self.command[:-2], other, self.target]

    def make_source(self):
        self.source = self.path(self.source_name)
        self.image.store(self.source)
        self.source_bytes = self.image.content

    def holds(self, content):
        return os.path.exists(self.target) and read(self.target) == content

    def has_marks(self, *places):
        now = read(self.target)
        return images.with_marks(now, *places) == now

    def state(self):
        if not os.path.lexists(self.target):
            return NOTHING
        now = read(self.target)
        return NEW if now == self.image.content else OLD if now == images.OLD.content else ELSE

    def left(self):
        return sorted(set(os.listdir(self.room)) - self.there)

    def source_intact(self):
        return read(self.source) == self.source_bytes


class FromQcow2(ToFile):
    source_name = "source.qcow2"
    image = images.EVEN
    how = ()

    def make_source(self):
        self.source = self.path(self.source_name)
        raw = self.path("raw")
        self.image.store(raw)
        images.make_qcow2(self.source, raw, *self.how)
        os.unlink(raw)
        self.source_bytes = read(self.source)


class FromCompressed(FromQcow2):
    how = ("-c",)


class Loop:
    """A loop device over a file."""

    def __init__(self, backing):
        self.backing = backing
        self.name = subprocess.run(("losetup", "--find", "--show", backing), check=True, capture_output=True,
                                   text=True).stdout.strip()
        self._node = os.stat(self.name)

    def is_there(self):
        """Under its name, and not something else."""
        now = os.stat(self.name)
        return stat.S_ISBLK(now.st_mode) and now.st_rdev == self._node.st_rdev

    def detach(self):
        if not self.is_there():  # what went wrong here stays here
            os.unlink(self.name)
            os.mknod(self.name, self._node.st_mode, self._node.st_rdev)
            os.chmod(self.name, stat.S_IMODE(self._node.st_mode))
            os.chown(self.name, self._node.st_uid, self._node.st_gid)
        subprocess.run(("losetup", "-d", self.name), check=True)


class FromDevice(ToFile):
    source_name = "device.raw"
    image = images.EVEN

    def make_source(self):
        super().make_source()
        self.loop = Loop(self.source)
        self.source = self.loop.name
        self.paths.append(self.source)

    def source_intact(self):
        return self.loop.is_there() and read(self.loop.backing) == self.source_bytes

    def close(self):
        self.loop.detach()
        super().close()


class ToDevice(ToFile):
    """What lies on the device behind the image is not ours."""
    state_is_free = True
    tail = 64 * images.KIB

    def __init__(self, room, *options):
        super().__init__(room, *options)
        os.unlink(self.target)
        backing = self.path("device.raw")
        shown = -self.image.size % images.BLOCK
        with open(backing, "wb") as file:
            file.write(b"\xee" * (self.image.size + shown + self.tail))
        self.beyond = b"\xee" * (shown + self.tail)
        self.loop = Loop(backing)
        self.target = self.loop.name
        self.command[-1] = self.target
        self.paths.append(self.target)
        self.there = self.there - {"out.raw"} | {"device.raw"}

    def _on_device(self):
        # Not through the device: what its page cache holds need not have arrived.
        return read(self.loop.backing)

    def holds(self, content):
        return self._on_device()[:len(content)] == content

    def state(self):
        now = self._on_device()
        if now[self.image.size:] != self.beyond or not self.loop.is_there():
            return ELSE
        return NEW if now[:self.image.size] == self.image.content else OLD

    def safe(self):
        return self.state() != ELSE

    def has_marks(self, *places):
        now = self._on_device()
        return images.with_marks(now, *places) == now

    def close(self):
        self.loop.detach()
        super().close()


class InPlace(Scene):
    """sparsify --in-place: whatever happens, it reads as before."""
    makes_target = False

    def __init__(self, room):
        super().__init__(room)
        self.target = self.file = self.path("disk.raw")
        self.image = images.EVEN
        self.image.store(self.file)
        self.content = self.image.content
        self.make_command()

    def make_command(self):
        self.command = ["sparsify", "-q", "--in-place", "-j", "1", self.target]

    def source_intact(self):
        return read(self.file) == self.content

    def holds(self, content):
        return read(self.file) == content

    def has_marks(self, *places):
        now = read(self.file)
        return images.with_marks(now, *places) == now

    def safe(self):
        return self.source_intact()

    def left(self):
        return sorted(set(os.listdir(self.room)) - {"disk.raw", *LOGS})


class InPlaceDevice(InPlace):
    def make_command(self):
        self.loop = Loop(self.file)
        self.target = self.loop.name
        self.paths.append(self.target)
        super().make_command()

    def close(self):
        self.loop.detach()
        super().close()


class Compare(Scene):
    """compare: 0 the same, 1 they differ, anything else: could not tell."""
    makes_target = False

    def __init__(self, room, differ):
        super().__init__(room)
        self.differ = differ
        self.good_statuses = frozenset({1 if differ else 0})
        self.first, self.second = self.path("a.raw"), self.path("b.raw")
        images.SOURCE.store(self.first)
        images.SOURCE.store(self.second)
        if differ:
            with open(self.second, "r+b") as file:
                file.seek(images.SOURCE.size - 1)
                file.write(bytes((images.SOURCE.content[-1] ^ 1,)))
        self.command = ["compare", "-q", "-j", "1", self.first, self.second]

    def source_intact(self):
        return read(self.first) == images.SOURCE.content and (read(self.second) != read(self.first)) == self.differ

    def judge(self, result):
        wrong = 0 if self.differ else 1
        return ["compare says the wrong thing"] if result.status == wrong else []


@dataclasses.dataclass(frozen=True)
class Job:
    name: str
    make: object  # a Scene in an empty directory
    visitors: tuple = ()


FILES = [
    Job("new", ToFile, ("second", "second-half", "taken", "overwrite", "cut", "swap")),
    Job("new-verify", lambda room: ToFile(room, "--verify"), ("second", "overwrite", "cut")),
    Job("force", lambda room: ToFile(room, "--force"), ("second", "second-half", "guest", "overwrite",
                                                             "cut")),
    Job("force-verify", lambda room: ToFile(room, "--force", "--verify"), ("second", "guest", "cut")),
    Job("qcow2", lambda room: FromQcow2(room, "-f", "qcow2"), ("cut",)),
    Job("compressed-verify", lambda room: FromCompressed(room, "-f", "qcow2", "--verify", "--force"), ("cut",)),
    Job("from-device", FromDevice, ("overwrite",)),
    Job("device", lambda room: ToDevice(room, "--force"), ("second", "second-half", "guest", "overwrite",
                                                                "cut")),
    Job("device-verify", lambda room: ToDevice(room, "--force", "--verify"), ("second", "guest")),
    Job("compare-same", lambda room: Compare(room, False)),
    Job("compare-differ", lambda room: Compare(room, True)),
    Job("in-place", InPlace, ("second-in-place", "guest")),
    Job("in-place-device", InPlaceDevice, ("second-in-place", "guest")),
]
