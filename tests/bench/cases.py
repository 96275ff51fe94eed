# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is measured, and what is expected of it."""

import dataclasses

FILE = "file"
RBD = "rbd"
NOTHING = "nothing"  # what only looks makes nothing


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """vmferry is so many times as fast as the best peer."""
    ratio: float

    def __str__(self):
        return f">= {self.ratio:.2f}"


@dataclasses.dataclass(frozen=True)
class OfRadosBench:
    """vmferry moves at least this share of what Ceph itself takes."""
    ratio: float

    def __str__(self):
        return f">= {self.ratio:.2f} of rados bench"


@dataclasses.dataclass(frozen=True)
class Within:
    """vmferry is done in less than so many seconds; nobody else is asked."""
    seconds: float

    def __str__(self):
        return f"< {self.seconds:g} s"


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    what: str
    image: str  # of tools/make-image
    reference: str  # the raw image with the same bytes
    format: str
    target: str
    expect: object = None
    cold: bool = False
    action: str = "convert"  # or map, or compare
    other: str = ""  # the second image of compare

    @property
    def is_rbd(self):
        return self.target == RBD

    @property
    def title(self):
        if self.action != "convert":
            return f"{self.action} {self.what}{', cold cache' if self.cold else ''}"
        target = "RBD volume" if self.is_rbd else "sparse file"
        return f"{self.what} -> {target}{', cold cache' if self.cold else ''}"

    def expectation_text(self):
        return f"expected: {self.expect}" if self.expect else "nothing expected"


def _debian(name, what, image, target, expect):
    return Case(name, what, image, "debian.raw", "raw" if image.endswith(".raw") else "qcow2", target, expect)


_WARM = (
    _debian("raw-file", "raw, fully allocated", "debian.raw", FILE, AtLeast(1.3)),
    _debian("sparse-file", "raw, sparse", "debian-sparse.raw", FILE, AtLeast(1.0)),
    _debian("qcow2-file", "qcow2", "debian.qcow2", FILE, AtLeast(1.0)),
    _debian("zlib-file", "qcow2, zlib", "debian-zlib.qcow2", FILE, AtLeast(1.5)),
    _debian("zstd-file", "qcow2, zstd", "debian-zstd.qcow2", FILE, None),
    _debian("raw-rbd", "raw, fully allocated", "debian.raw", RBD, AtLeast(1.1)),
    Case("dense-rbd", "raw, random bytes", "dense.raw", "dense.raw", "raw", RBD, OfRadosBench(0.9)),
    _debian("zlib-rbd", "qcow2, zlib", "debian-zlib.qcow2", RBD, AtLeast(2.0)),
    _debian("zstd-rbd", "qcow2, zstd", "debian-zstd.qcow2", RBD, AtLeast(2.0)),
)

# With a cold cache the disk sets the pace; all that is asked is that nobody is faster.
_COLD = tuple(dataclasses.replace(case, name=f"{case.name}-cold", cold=True, expect=AtLeast(1.0)) for case in _WARM)

_EMPTY = tuple(
    Case(f"empty-{target}", "raw, 8 TiB of hole", "empty.raw", "empty.raw", "raw", target, Within(2.0))
    for target in (FILE, RBD))

_LOOKING = (
    Case("map", "of qcow2, 1 TiB in a million extents", "million.qcow2", "million.qcow2", "qcow2", NOTHING, AtLeast(3.0),
         action="map"),
    Case("compare-raw", "raw, fully allocated, with sparse", "debian.raw", "debian.raw", "raw", NOTHING, AtLeast(1.5),
         action="compare", other="debian-sparse.raw"),
    Case("compare-qcow2", "raw, fully allocated, with qcow2", "debian.raw", "debian.raw", "raw", NOTHING, AtLeast(1.5),
         action="compare", other="debian.qcow2"),
    Case("compare-zlib", "qcow2 with qcow2, zlib", "debian.qcow2", "debian.raw", "qcow2", NOTHING, AtLeast(1.5),
         action="compare", other="debian-zlib.qcow2"),
)

ALL = _WARM + _EMPTY + _LOOKING + _COLD
