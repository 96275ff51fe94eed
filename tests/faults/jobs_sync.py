# SPDX-License-Identifier: LGPL-2.1-or-later
"""A later sync of a warm move: a guest of the lab's hosta runs on, and its volume is brought up to date."""

import json
import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree

import images
from jobs import Job
from jobs_rbd import VolumeScene

_LAB = pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"
_CLEARED = images.MIB + 64 * images.KIB  # where the guest zeroes what was data
_DEFINITION = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><disk type='file' device='disk'><driver name='qemu' type='raw'/>
<source file='{disk}'/><target dev='vda' bus='virtio'/></disk></devices></domain>"""


class Host:
    """Of the lab whose Ceph is asked."""

    def __init__(self, vmferry):
        lab = os.path.dirname(os.environ["CEPH_CONF"])
        said = {what: self._must(str(_LAB), "--dir", lab, what) for what in ("env", "secret")}
        self.uri = re.search(r"^export VMFERRY_LAB_HOSTA='(.*)'$", said["env"], re.MULTILINE).group(1)
        self.secret = said["secret"].strip()
        self.vmferry = os.path.abspath(vmferry)

    @staticmethod
    def _must(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"faults: {' '.join(command)}: {done.stderr}")
        return done.stdout

    def virsh(self, *words):
        return self._must("virsh", "-q", "-c", self.uri, *words)

    def io(self, name, command):
        """What the guest would do to its disk."""
        self.virsh("qemu-monitor-command", name, "--hmp",
                   f'qemu-io -d /machine/peripheral/virtio-disk0/virtio-backend "{command}"')

    def sync(self, *words):
        self._must(self.vmferry, "sync", "-q", "--connect", self.uri, *words)

    def forget(self, name):
        for words in (("destroy", name), ("undefine", name)):
            subprocess.run(("virsh", "-q", "-c", self.uri, *words), capture_output=True, check=False)


_HOST = None  # set by begin()


def begin(vmferry):
    global _HOST
    _HOST = Host(vmferry)


class LaterSync(VolumeScene):
    """sync GUEST, once more: it wrote somewhere and zeroed something since its first one."""
    makes_target = False

    def __init__(self, room):
        super().__init__(room)
        self.image = images.EVEN
        self.disk = self.path("disk.raw")
        self.image.store(self.disk)
        self.expected = {self.volume}
        with open(self.path("domain.xml"), "w", encoding="utf-8") as file:
            file.write(_DEFINITION.format(name=self.volume, disk=self.disk))
        _HOST.virsh("define", file.name)
        _HOST.virsh("start", self.volume)
        options = (self.volume, "--state-dir", self.path("state"))
        _HOST.sync(*options, "--pool", "rbd", "--id", "libvirt", "--secret-uuid", _HOST.secret, "--disk", f"vda={self.location}")
        for place in (images.EARLY, images.LATE):
            _HOST.io(self.volume, f"write -P 0xa5 {place} {images.BLOCK}")
        _HOST.io(self.volume, f"write -z {_CLEARED} 64k")
        _HOST.io(self.volume, "flush")
        cleared = bytearray(images.with_marks(self.image.content, images.EARLY, images.LATE))
        cleared[_CLEARED:_CLEARED + 64 * images.KIB] = bytes(64 * images.KIB)
        self.content = bytes(cleared)
        self.command = ["sync", "-q", "--connect", _HOST.uri, *options]

    def _chain(self):
        """The files of the guest's disk, the one it writes to first."""
        disk = xml.etree.ElementTree.fromstring(_HOST.virsh("dumpxml", self.volume)).find("devices/disk")
        files = []
        while disk is not None and disk.find("source") is not None:
            files.append(disk.find("source").get("file"))
            disk = disk.find("backingStore")
        return files

    def _guest_reads(self):
        out = self.path("seen.raw")
        subprocess.run(("qemu-img", "convert", "-U", "-O", "raw", self._chain()[0], out), check=True)
        try:
            with open(out, "rb") as file:
                return file.read()
        finally:
            os.unlink(out)

    def source_intact(self):
        """The guest runs, and nothing of its disk is lost, nor of its first sync."""
        return (_HOST.virsh("domstate", self.volume).strip() == "running" and self._guest_reads() == self.content and
                self.bytes_of(self.volume, "vmferry-sync-1") in (self.image.content, None))

    def safe(self):
        return True

    def judge(self, result):
        """Who says done has a snapshot with all of it, and the guest on one overlay over its old image."""
        if result.status != 0:
            return []
        with open(self.path("state") + f"/{self.volume}.sync", encoding="utf-8") as file:
            number = json.load(file)["state"]["rounds"][-1]["number"]
        wrong = []
        if self.bytes_of(self.volume, f"vmferry-sync-{number}") != self.content:
            wrong.append(f"says done, but the snapshot of sync {number} holds something else")
        if len(self._chain()) != 2 or self._chain()[1] != self.disk:
            wrong.append(f"says done, but the guest is on {self._chain()}")
        overlays = [name for name in os.listdir(self.room) if "vmferry-sync" in name]
        if len(overlays) != 1:
            wrong.append(f"says done, and left {sorted(overlays)}")
        return wrong

    def close(self):
        _HOST.forget(self.volume)
        super().close()


SYNC = [Job("rbd-later-sync", LaterSync)]
