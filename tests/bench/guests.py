# SPDX-License-Identifier: LGPL-2.1-or-later
"""The lab's hosts and guests, as a benchmark of migrations needs them."""

import contextlib
import json
import os
import re
import shutil
import subprocess

import measure
import world

GUEST = "bench"
VOLUME = "rbd/vmferry-bench-guest"
OLD_VOLUME = "rbd/vmferry-bench-old"  # of a guest that is on RBD before its move


class Lab:
    """Two hosts, a Ceph, and at most one guest."""

    def __init__(self, root, directory):
        self._program = str(root / "tools" / "lab")
        self._directory = directory
        self.hosts = {}
        self.port = 0
        self.secret = ""

    def __call__(self, *arguments):
        environment = {**os.environ, "VMFERRY_LAB": str(self._directory)}
        done = subprocess.run([self._program, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise measure.BenchError(f"tools/lab {' '.join(arguments)}: exit status {done.returncode}")
        return done.stdout

    def read_settings(self):
        exports = dict(re.findall(r"^export (\w+)='(.*)'$", self("env"), re.MULTILINE))
        os.environ["CEPH_CONF"] = exports["CEPH_CONF"]
        for name in ("CEPH_ARGS", "CEPH_KEYRING"):
            os.environ.pop(name, None)
        self.hosts = {name: exports[f"VMFERRY_LAB_HOST{name.upper()}"] for name in "ab"}
        self.port = int((self._directory / "port").read_text(encoding="ascii"))
        self.secret = self("secret").strip()

    @property
    def files(self):
        return self._directory / "guests" / GUEST

    def guest_up(self, kind):
        self.clear()
        self("guest", "up", GUEST, "--disk", kind)
        os.sync()  # no run pays for the copy of its disk

    def clear(self):
        self("guest", "down", GUEST)
        for volume in (VOLUME, OLD_VOLUME):
            if subprocess.run(["rbd", "info", volume], capture_output=True, check=False).returncode == 0:
                world.must("rbd", "snap", "purge", "--no-progress", volume)
                world.must("rbd", "rm", "--no-progress", volume)

    def virsh(self, host, *arguments):
        return world.must("virsh", "-q", "-c", self.hosts[host], *arguments)

    def source_element(self):
        return (f"<auth username='libvirt'><secret type='ceph' uuid='{self.secret}'/></auth>"
                f"<source protocol='rbd' name='{VOLUME}'><host name='127.0.0.1' port='{self.port}'/></source>")

    def moved_definition(self, *options):
        """What an administrator makes of the definition with an editor, before a plain virsh migrate."""
        text = self.virsh("a", "dumpxml", "--migratable", *options, GUEST)
        text = text.replace("<disk type='file' device='disk'>", "<disk type='network' device='disk'>", 1)
        return re.sub(rf"<source file='{self.files}/vda[^']*'[^>]*>", self.source_element(), text, count=1)

    def check_moved(self, host):
        """The guest lives on that host, its disk is the volume, now and after a restart, and its files are whole."""
        if self.virsh(host, "domstate", GUEST).strip() != "running":
            raise measure.BenchError(f"the guest does not run on host{host}")
        for options in ((), ("--inactive",)):
            definition = self.virsh(host, "dumpxml", *options, GUEST)
            if f"name='{VOLUME}'" not in definition or "<source file='" in definition:
                raise measure.BenchError(f"the definition ({' '.join(options) or 'live'}) does not name the volume alone")
        self("guest", "wait", GUEST)
        self("guest", "run", GUEST, "/usr/local/sbin/guest-check")


def check_surroundings(vmferry, programs):
    """All that a lab and its guests need is there."""
    if not os.access(vmferry, os.X_OK):
        raise measure.BenchError(f"no program {vmferry}: build it, or name it with --vmferry")
    missing = [name for name in programs if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if missing:
        raise measure.BenchError(f"not installed: {' '.join(missing)} (run: tools/packages lab hosts image)")
    if os.geteuid() != 0:
        raise measure.BenchError("not root, which the lab's hosts need")


@contextlib.contextmanager
def lab(root, directory):
    """A lab of our own for as long as this lasts."""
    made = Lab(root, directory)
    try:
        made("up")
        made.read_settings()
        yield made
    finally:
        made("down")


def volume_bytes():
    return json.loads(world.must("rbd", "du", "--format", "json", VOLUME))["images"][0]["used_size"]


def pool_bytes():
    """What the pool takes on its disks; Ceph counts that anew every second."""
    pools = json.loads(world.must("ceph", "df", "--format", "json"))["pools"]
    return next(pool["stats"]["bytes_used"] for pool in pools if pool["name"] == VOLUME.split("/", maxsplit=1)[0])
