# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, and what is expected of it. A ratio is vmferry's time / the peer's: below 1, vmferry is faster."""

import dataclasses

FILE = "file"
RBD = "rbd"
NBD = "nbd"  # a qemu-nbd on this machine, which reads the image
WEB = "web"  # a server on this machine whose every answer is late
NOTHING = "nothing"  # what only looks makes nothing

_MIB = 1 << 20
MEMORY = {FILE: 48 * _MIB, RBD: 160 * _MIB}  # the most that vmferry may use


@dataclasses.dataclass(frozen=True)
class Limits:
    """The most that each ratio may be; None: nothing is expected of it."""
    durable: float = None  # of the best peer whose result survives a power cut
    as_is: float = None  # of the best of those that leave it in memory
    cpu: float = None  # processor time, of qemu-img's
    rados: float = None  # of the time that `rados bench` takes for as many bytes
    seconds: float = None  # not a ratio: for what no peer is asked about
    size: float = None  # of the file that qemu-img makes

    def __str__(self):
        said = ((self.durable, "{:.3g}"), (self.as_is, "{:.3g} as it is"), (self.cpu, "{:.3g} of the processor time"),
                (self.rados, "{:.3g} of rados bench"), (self.seconds, "{:.3g} s"), (self.size, "{:.3g} of the size"))
        return ", ".join("<= " + form.format(value) for value, form in said if value is not None) or "-"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    what: str
    image: str  # of tools/make-image
    reference: str  # the raw image with the same bytes
    format: str
    target: str
    limits: Limits = Limits()
    cold: bool = False
    written: bool = False  # the page cache holds what was written, and not what was read
    source: str = FILE  # or NBD, WEB: the image is what it serves; or RBD
    action: str = "convert"  # or map, or compare
    other: str = ""  # the second image of compare
    makes: str = "raw"  # or qcow2
    compression: str = ""  # of what is made

    @property
    def makes_volume(self):
        return self.target == RBD

    @property
    def needs_ceph(self):
        return RBD in (self.source, self.target)

    @property
    def title(self):
        state = ", cold cache" if self.cold else ", just written" if self.written else ""
        if self.action != "convert":
            return f"{self.action} {self.what}{state}"
        if self.makes != "raw":
            return f"{self.what}{state} -> {self.makes}{self.compression and ', '}{self.compression}"
        return f"{self.what}{state} -> {'RBD volume' if self.makes_volume else 'sparse file'}"


FOREIGN = ("vmdk", "vhdx")  # these the benchmark makes itself, of debian-sparse.raw


def _debian(name, what, image, target, **more):
    return Case(name, what, image, "debian.raw", image.rpartition(".")[2], target, **more)


_FILES = (
    _debian("raw-file", "raw, fully allocated", "debian.raw", FILE, limits=Limits(0.65, 0.85, 0.9)),
    _debian("sparse-file", "raw, sparse", "debian-sparse.raw", FILE, limits=Limits(0.8, 1.0)),
    _debian("qcow2-file", "qcow2", "debian.qcow2", FILE, limits=Limits(0.8, 1.0)),
    _debian("zlib-file", "qcow2, zlib", "debian-zlib.qcow2", FILE, limits=Limits(0.5)),
    _debian("zstd-file", "qcow2, zstd", "debian-zstd.qcow2", FILE, limits=Limits(0.65)),
)
_VOLUMES = (
    _debian("raw-rbd", "raw, fully allocated", "debian.raw", RBD, limits=Limits(0.8)),
    Case("dense-rbd", "raw, random bytes", "dense.raw", "dense.raw", "raw", RBD, Limits(0.95, rados=1 / 0.92)),
    _debian("zlib-rbd", "qcow2, zlib", "debian-zlib.qcow2", RBD, limits=Limits(0.45)),
    _debian("zstd-rbd", "qcow2, zstd", "debian-zstd.qcow2", RBD, limits=Limits(0.5)),
)
_FOREIGN = tuple(
    _debian(f"{kind}-{target}", kind.upper(), f"debian.{kind}", target, limits=limits)
    for kind in FOREIGN for target, limits in ((FILE, Limits()), (RBD, Limits(1 / 1.2))))
_WRITTEN = (dataclasses.replace(_FILES[0], name="raw-file-written", written=True),)
_FROM_CEPH = tuple(
    dataclasses.replace(_FILES[1], name=name, what="RBD volume", source=RBD, target=target, limits=limits)
    for name, target, limits in (("rbd-file", FILE, Limits(0.8, 0.8)), ("rbd-rbd", RBD, Limits(0.8))))
_FROM_NBD = (
    _debian("nbd-file", "raw, sparse, by qemu-nbd", "debian-sparse.raw", FILE, source=NBD, limits=Limits(1.0)),
    _debian("nbd-rbd", "raw, sparse, by qemu-nbd", "debian-sparse.raw", RBD, source=NBD, limits=Limits(1.0)),
)
_COLD = (
    *(dataclasses.replace(case, name=f"{case.name}-cold", cold=True, limits=Limits(0.9)) for case in _FILES),
    *(dataclasses.replace(case, name=f"{case.name}-cold", cold=True, limits=Limits()) for case in _VOLUMES),
)
# From a volume the cluster takes a part of the processors that both need.
_INTO_QCOW2 = tuple(
    dataclasses.replace(_FILES[1], name=f"{name}-{compression or 'qcow2'}-made", what=what, source=source, makes="qcow2",
                        compression=compression, limits=limits)
    for name, what, source in (("raw", "raw, sparse", FILE), ("rbd", "RBD volume", RBD))
    for compression, limits in (("", Limits(1.0)), ("zlib", Limits(1 / 1.5, size=1.03)), ("zstd", Limits(1 / 1.3, size=1.03))))
_FROM_WEB = tuple(
    dataclasses.replace(case, name=f"web-{case.name}", what=f"{case.what}, over HTTP with 20 ms of delay", source=WEB,
                        limits=Limits(1 / 3)) for case in (_FILES[3], _VOLUMES[2]))
_EMPTY = tuple(
    Case(f"empty-{target}", "raw, 8 TiB of hole", "empty.raw", "empty.raw", "raw", target, Limits(seconds=0.5))
    for target in (FILE, RBD))


def _looking(name, what, image, action, **more):
    return Case(name, what, image, more.pop("reference", "debian.raw"), "raw" if image.endswith(".raw") else "qcow2",
                NOTHING, Limits(more.pop("limit", 0.5)), action=action, **more)


_LOOKING = (
    _looking("map", "of qcow2, 1 TiB in a million extents", "million.qcow2", "map", reference="million.qcow2", limit=1 / 3),
    _looking("compare-raw", "raw, fully allocated, with sparse", "debian.raw", "compare", other="debian-sparse.raw"),
    _looking("compare-qcow2", "raw, fully allocated, with qcow2", "debian.raw", "compare", other="debian.qcow2"),
    _looking("compare-zlib", "qcow2 with qcow2, zlib", "debian.qcow2", "compare", other="debian-zlib.qcow2"),
    _looking("compare-zstd", "raw, sparse, with qcow2, zstd", "debian-sparse.raw", "compare", other="debian-zstd.qcow2"),
)

ALL = (_FILES + _WRITTEN + _VOLUMES + _FOREIGN + _FROM_CEPH + _FROM_NBD + _FROM_WEB + _INTO_QCOW2
       + _EMPTY + _LOOKING + _COLD)
