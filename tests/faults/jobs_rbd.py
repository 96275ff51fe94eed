# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the program is asked to do on volumes."""

import contextlib
import os

import rbd

import images
import jobs
from jobs import ELSE, NEW, NOTHING, OLD, Job, Scene, ToFile, read

_CLUSTER = None  # set by begin()


def begin(cluster):
    global _CLUSTER
    _CLUSTER = cluster


class VolumeScene(Scene):
    """Has a name of its own in the pool, of which no other name is the begin."""

    def __init__(self, room, namespace=""):
        super().__init__(room)
        self.namespace = namespace
        _CLUSTER.io(namespace)
        self.volume = f"faults-{os.getpid()}-{os.path.basename(room)}"
        self.location = "/".join(filter(None, ("rbd:rbd", namespace, self.volume)))
        self.target = self.location
        self.expected = set()
        self.known_ids = set()

    @property
    def guest_target(self):
        return f"{self.location}:conf={os.environ['CEPH_CONF']}"

    def bytes_of(self, name, snapshot=None):
        return _CLUSTER.read(self.namespace, name, snapshot)

    def holds(self, content):
        return self.bytes_of(self.volume) == content

    def has_marks(self, *places):
        now = self.bytes_of(self.volume)
        return now is not None and images.with_marks(now, *places) == now

    def left(self):
        return sorted(_CLUSTER.traces(self.namespace, self.volume, self.known_ids) - self.expected)

    def close(self):
        _CLUSTER.forget(self.namespace, self.volume)
        super().close()


class ToVolume(VolumeScene):
    """convert source.raw rbd:..."""
    data_call = "rbd_aio_write"

    def __init__(self, room, *options, namespace=""):
        super().__init__(room, namespace)
        self.forced = "--force" in options
        self.source = self.path("source.raw")
        self.image.store(self.source)
        self.expected = {self.volume}
        if self.forced:
            _CLUSTER.make(namespace, self.volume, images.OLD)
            self.before = OLD
        self.command = ["convert", "-q", "-j", "1", *options, self.source, self.target]

    second_command = ToFile.second_command

    def _kind(self, content):
        return {None: NOTHING, self.image.content: NEW, images.OLD.content: OLD}.get(content, ELSE)

    def state(self):
        return self._kind(self.bytes_of(self.volume))

    def safe(self):
        """Between its two renames the old is under another name."""
        state = self.state()
        if state in (self.before, NEW):
            return True
        return state == NOTHING and self.bytes_of(self.volume + ".vmferry-old") == images.OLD.content

    def source_intact(self):
        return read(self.source) == self.image.content


class ToClone(ToVolume):
    """convert --base rbd:...@s source.raw rbd:..."""

    def __init__(self, room):
        super().__init__(room)
        self.base = f"golden-{os.getpid()}-{os.path.basename(room)}"
        _CLUSTER.make("", self.base, images.OLD)
        with _CLUSTER.volume("", self.base) as volume:
            volume.create_snap("s")
        self.command[4:4] = ["--base", f"rbd:rbd/{self.base}@s"]

    def close(self):
        super().close()
        _CLUSTER.forget("", self.base)


class FromVolume(VolumeScene):
    """convert rbd:...[@snapshot] out.raw"""

    def __init__(self, room, snapshot=None):
        super().__init__(room)
        self.image = images.SOURCE
        self.snapshot = snapshot
        _CLUSTER.make("", self.volume, self.image)
        if snapshot:
            with _CLUSTER.volume("", self.volume) as volume:
                volume.create_snap(snapshot)
        self.source = self.location + (f"@{snapshot}" if snapshot else "")
        self.target = self.path("out.raw")
        self.command = ["convert", "-q", "-j", "1", self.source, self.target]
        self.expected = {self.volume}

    state = ToFile.state

    def holds(self, content):
        return os.path.exists(self.target) and read(self.target) == content

    def left(self):
        return sorted(set(os.listdir(self.room)) - {"out.raw", *jobs.LOGS}) + super().left()

    def source_intact(self):
        return self.bytes_of(self.volume, self.snapshot) == self.image.content


class CompareVolume(VolumeScene):
    """compare source.raw rbd:..."""
    makes_target = False

    def __init__(self, room, differ):
        super().__init__(room)
        self.differ = differ
        self.good_statuses = frozenset({1 if differ else 0})
        self.file = self.path("source.raw")
        self.image.store(self.file)
        _CLUSTER.make("", self.volume, self.image)
        self.content = self.image.content
        if differ:
            self.content = self.content[:-1] + bytes((self.content[-1] ^ 1,))
            with _CLUSTER.volume("", self.volume) as volume:
                volume.write(self.content[-1:], self.image.size - 1)
        self.expected = {self.volume}
        self.command = ["compare", "-q", "-j", "1", self.file, self.location]

    def source_intact(self):
        return read(self.file) == self.image.content and self.bytes_of(self.volume) == self.content

    judge = jobs.Compare.judge


class VolumeInPlace(VolumeScene):
    """sparsify --in-place rbd:..."""
    makes_target = False

    def __init__(self, room):
        super().__init__(room)
        _CLUSTER.make("", self.volume, self.image)
        self.expected = {self.volume}
        self.command = ["sparsify", "-q", "--in-place", self.location]

    def source_intact(self):
        return self.holds(self.image.content)

    def safe(self):
        return self.source_intact()


def shrink(scene):
    with contextlib.suppress(rbd.Error), _CLUSTER.volume(scene.namespace, scene.volume) as volume:
        volume.resize(scene.image.size // 2)


def overwrite(scene):
    with contextlib.suppress(rbd.Error), _CLUSTER.volume(scene.namespace, scene.volume) as volume:
        for place in (images.EARLY, images.LATE):
            volume.write(images.MARK, place)


def remove(scene):
    with contextlib.suppress(rbd.Error):
        _CLUSTER.remove(scene.namespace, scene.volume)


def remove_snapshot(scene):
    with contextlib.suppress(rbd.Error), _CLUSTER.volume(scene.namespace, scene.volume) as volume:
        volume.remove_snap(scene.snapshot)


def take_snapshot(scene):
    """True if it could be made."""
    try:
        with _CLUSTER.volume(scene.namespace, scene.volume) as volume:
            volume.create_snap("taken-meanwhile")
        return True
    except rbd.Error:
        return False


def has_snapshot(scene):
    try:
        with _CLUSTER.volume(scene.namespace, scene.volume) as volume:
            return any(snapshot["name"] == "taken-meanwhile" for snapshot in volume.list_snaps())
    except rbd.Error:
        return False


def take_name(scene):
    """Somebody makes a volume of the target's name. True if it could be made."""
    try:
        _CLUSTER.make(scene.namespace, scene.volume, images.OLD)
        return True
    except rbd.Error:
        return False


NAMESPACE = "faults"
RBD = [
    Job("rbd-new", ToVolume, ("second", "second-half", "volume-taken")),
    Job("rbd-new-verify", lambda room: ToVolume(room, "--verify", namespace=NAMESPACE),
        ("second", "second-half")),
    Job("rbd-force", lambda room: ToVolume(room, "--force"), ("second", "second-half", "guest", "snapshot")),
    Job("rbd-force-verify", lambda room: ToVolume(room, "--force", "--verify", namespace=NAMESPACE),
        ("second", "snapshot")),
    Job("rbd-base", ToClone, ("second",)),
    Job("from-volume", FromVolume, ("volume-overwritten", "volume-shrunk", "volume-removed")),
    Job("from-snapshot", lambda room: FromVolume(room, "s"), ("snapshot-removed",)),
    Job("rbd-compare-same", lambda room: CompareVolume(room, False)),
    Job("rbd-compare-differ", lambda room: CompareVolume(room, True)),
    Job("rbd-in-place", VolumeInPlace, ("second-in-place", "guest")),
]
