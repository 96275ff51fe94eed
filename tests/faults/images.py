# SPDX-License-Identifier: LGPL-2.1-or-later
"""The disks of the matrix: small, and with all that a copier treats in different ways."""

import random
import subprocess

KIB = 1 << 10
MIB = 1 << 20
BLOCK = 4096

# (offset, length, stored as data?): data, a hole, stored zeros, data over the border of a block of the walker.
_PIECES = ((0, 200 * KIB, "data"), (1 * MIB, 256 * KIB, "zeros"), (2 * MIB, 100 * KIB, "data"),
           (3 * MIB + 900 * KIB, 200 * KIB, "data"))
_SIZE = 5 * MIB
_ODD = 1000  # no multiple of a sector


class Disk:
    """A model: `content` is what a guest reads, `pieces` what is stored of it."""

    def __init__(self, seed, size):
        noise = random.Random(seed)
        self.size = size
        content = bytearray(size)
        self.pieces = []
        inside = [piece for piece in _PIECES if piece[0] + piece[1] <= size - 64 * KIB]
        for offset, length, kind in (*inside, (size - 64 * KIB, 64 * KIB, "data")):
            if kind == "data":
                content[offset:offset + length] = noise.randbytes(length)
            self.pieces.append((offset, length))
        self.content = bytes(content)

    def store(self, path):
        with open(path, "wb") as file:
            for offset, length in self.pieces:
                file.seek(offset)
                file.write(self.content[offset:offset + length])
            file.truncate(self.size)


SOURCE = Disk(1, _SIZE + _ODD)
EVEN = Disk(2, _SIZE)  # for formats and devices, which know sectors only
OTHER = Disk(3, _SIZE + _ODD)  # what a second run writes
OLD = Disk(4, _SIZE // 2 + _ODD)
MARK = b"\xa5" * BLOCK  # what somebody else writes meanwhile
EARLY = 8 * KIB  # where: into data at the begin, and at the end
LATE = _SIZE - 32 * KIB
IN_ZEROS = 1 * MIB + 64 * KIB  # and into stored zeros


def with_marks(content, *places):
    changed = bytearray(content)
    for place in places:
        changed[place:place + len(MARK)] = MARK
    return bytes(changed)


def make_qcow2(path, raw, *options):
    subprocess.run(("qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, raw, path), check=True)
