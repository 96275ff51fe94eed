# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command lines that are compared."""

import dataclasses
import os
import re

import cases

VMFERRY = "vmferry"
RADOS_BENCH = "rados bench"
_OBJECT = 4 << 20


@dataclasses.dataclass(frozen=True)
class Tool:
    """One way to do it. The clock runs over all of `steps`, and not over `before`."""
    name: str
    steps: tuple
    before: tuple = ()
    durable: bool = True  # when it is done, so is the writing
    output_clock: object = None  # reads the seconds from the tool's own output; None: whole processes count
    makes_target: bool = True
    discards_output: bool = False  # what it prints is its work, and goes nowhere

    def and_sync(self, path):
        """The same, made to last. sync(1) on one file is fsync, which is what vmferry does before it names its file."""
        return dataclasses.replace(self, name=f"{self.name} + sync", steps=self.steps + (("sync", path),), durable=True)


def _nbd_side(location, image_format, read_only):
    """What nbdcopy cannot open by itself comes to it through qemu-nbd."""
    return ("[", "qemu-nbd", *(("--read-only",) if read_only else ()), "--format", image_format, location, "]")


def _nbd_source(case, source):
    is_plain = case.format == "raw" and case.source == cases.FILE
    return (source,) if is_plain or case.source == cases.NBD else _nbd_side(source, case.format, read_only=True)


def _spec(url):
    """How rbd(8) calls what is rbd:POOL/IMAGE to others."""
    return url.removeprefix("rbd:")


class Toolbox:
    def __init__(self, vmferry, target):
        self._vmferry = str(vmferry)
        self._target = target

    def tools_for(self, case, source, size):
        """In the order in which a round runs them."""
        if case.action == "map":
            return self._mappers(case, source)
        if case.action == "compare":
            return self._comparers(case, source)
        tools = [self._own(case, source)]
        if case.limits.seconds:
            return tools
        if case.source == cases.WEB:
            peers = self._qemu_img(case, source, self._target.rbd_url if case.makes_volume else str(self._target.path))
            return tools + peers
        if not case.makes_volume:
            for peer in self._file_peers(case, source):
                tools += [peer, peer.and_sync(str(self._target.path))]
            return tools
        tools += self._rbd_peers(case, source, size)
        if case.limits.rados:
            tools.append(self._rados_bench(size))
        return tools

    def _mappers(self, case, source):
        return [Tool(name, ((program, "map", *options, "-f", case.format, source),), makes_target=False,
                     discards_output=True)
                for name, program, options in ((VMFERRY, self._vmferry, ("--json",)),
                                               ("qemu-img map", "qemu-img", ("--output=json",)))]

    def _comparers(self, case, source):
        other = os.path.join(os.path.dirname(source), case.other)
        formats = ("-f", case.format, "-F", "raw" if other.endswith(".raw") else "qcow2")
        return [Tool(name, ((program, "compare", *options, *formats, source, other),), makes_target=False)
                for name, program, options in ((VMFERRY, self._vmferry, ("-q",)),
                                               ("qemu-img compare", "qemu-img", ("-q",)),
                                               ("qemu-img compare -T none", "qemu-img", ("-q", "-T", "none")))]

    def _own(self, case, source):
        target = self._target.rbd_url if case.makes_volume else str(self._target.path)
        compress = ("--compress", case.compression) if case.compression else ()
        return Tool(VMFERRY, ((self._vmferry, "convert", "-q", "-f", case.format, "-O", case.makes, *compress, source, target),))

    def _qemu_img(self, case, source, target):
        compress = ("-c", "-o", f"compression_type={case.compression}") if case.compression else ()
        command = ("qemu-img", "convert", "-f", case.format, "-O", case.makes, *compress)
        return [Tool("qemu-img", ((*command, source, target),), durable=case.makes_volume),
                Tool("qemu-img -W -m 16", ((*command, "-W", "-m", "16", source, target),), durable=case.makes_volume)]

    def _file_peers(self, case, source):
        path = str(self._target.path)
        peers = self._qemu_img(case, source, path)
        if case.makes != "raw":
            return peers
        if case.source == cases.RBD:
            peers.append(Tool("rbd export", (("rbd", "export", "--no-progress", _spec(source), path),), durable=False))
        peers.append(Tool("nbdcopy", (("nbdcopy", "--", *_nbd_source(case, source), path),), durable=False))
        if case.source == cases.FILE and case.format == "raw":
            peers.append(Tool("cp --sparse", (("cp", "--sparse=always", source, path),), durable=False))
        return peers

    # What Ceph has acknowledged is on disk, so there is no second variant of these.
    def _rbd_peers(self, case, source, size):
        url = self._target.rbd_url
        peers = self._qemu_img(case, source, url)
        if case.source == cases.RBD:
            peers.append(Tool("rbd cp", (("rbd", "cp", "--no-progress", _spec(source), _spec(url)),)))
        elif case.format == "raw" and case.source == cases.FILE:
            peers.append(Tool("rbd import", (("rbd", "import", "--no-progress", source, _spec(url)),)))
        nbd_target = _nbd_side(url, "raw", read_only=False)
        # nbdcopy cannot make a volume, so it gets one for nothing.
        create = ("rbd", "create", "--size", f"{size}B", _spec(url))
        peers.append(Tool("nbdcopy", (("nbdcopy", "--flush", "--", *_nbd_source(case, source), *nbd_target),),
                          before=(create,)))
        return peers

    def _rados_bench(self, size):
        """Its process lingers for up to a second when all is written; that would flatter us. So its own clock counts."""
        command = ("rados", "-p", self._target.pool, "bench", "3600", "write", "-b", str(_OBJECT), "-t", "16",
                   "--no-cleanup", "--max-objects", str(-(-size // _OBJECT)), "--run-name", self._target.rados_run)

        def seconds(output):
            total = float(re.search(r"^Total time run:\s+([0-9.]+)", output, re.M)[1])
            writes = int(re.search(r"^Total writes made:\s+([0-9]+)", output, re.M)[1])
            return total * size / (writes * _OBJECT)

        return Tool(RADOS_BENCH, (command,), output_clock=seconds, makes_target=False)
