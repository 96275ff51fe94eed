# SPDX-License-Identifier: LGPL-2.1-or-later
"""A small qcow2 image made byte by byte, to be damaged in one place."""

import struct
import zlib

CLUSTER = 65536
SIZE = 4 << 20
# Where things are in the file of Image().
REFTABLE, REFBLOCK, L1, L2 = 0x10000, 0x20000, 0x30000, 0x40000
DATA_A, DATA_B, STREAM = 0x50000, 0x60000, 0x70000
COPIED, COMPRESSED = 1 << 63, 1 << 62
CORRUPT, DATA_FILE, COMPRESSION, EXTENDED_L2 = 2, 4, 8, 16


def deflate(data, wbits=-15):
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(data) + packer.flush()


class Image:
    """4 MiB in clusters of 64 KiB: A, B, zeros (flag), C (compressed), holes."""

    def __init__(self, version=3):
        self.data = bytearray(STREAM)
        self.put(0, b"QFI\xfb").put4(4, version).put4(20, 16).put(24, SIZE).put4(36, 1)
        self.put(40, L1).put(48, REFTABLE).put4(56, 1)
        if version == 3:
            self.put4(96, 4, 112)
        self.put(REFTABLE, REFBLOCK).put(L1, L2 | COPIED)
        for cluster in range(8):
            self.put(REFBLOCK + 2 * cluster, 1, size=2)
        self.put(DATA_A, b"A" * CLUSTER).put(DATA_B, b"B" * CLUSTER)
        self.entry(0, DATA_A | COPIED).entry(1, DATA_B | COPIED)
        if version == 3:
            self.entry(2, 1)
        self.stream(deflate(b"C" * CLUSTER))

    def put(self, at, *values, size=8):
        for value in values:
            raw = value if isinstance(value, bytes) else (value & (1 << 64) - 1).to_bytes(8, "big")[-size:]
            if at + len(raw) > len(self.data):
                self.data.extend(bytes(at + len(raw) - len(self.data)))
            self.data[at : at + len(raw)] = raw
            at += len(raw)
        return self

    def put4(self, at, *values):
        return self.put(at, *values, size=4)

    def entry(self, index, raw, bitmap=None):
        if bitmap is not None:
            return self.put(L2 + 16 * index, raw, bitmap)
        return self.put(L2 + 8 * index, raw)

    def stream(self, packed, sectors=None, index=3):
        """Cluster 3 is this compressed stream, the last thing in the file."""
        del self.data[STREAM:]
        self.put(STREAM, packed)
        if sectors is None:
            sectors = max(len(packed) - 1, 0) // 512
        return self.entry(index, COMPRESSED | sectors << 54 | STREAM)

    def zstd(self):
        return self.put(72, COMPRESSION).put(104, 1, size=1)

    def extended(self):
        """Subclusters; cluster 0 is A in its first half, the rest is a hole."""
        self.put(L2, bytes(CLUSTER)).put(72, EXTENDED_L2)
        return self.entry(0, DATA_A | COPIED, 0xFFFF)

    def data_file(self, name=b"data.raw"):
        """Cluster 1 in an external data file."""
        self.put(L2, bytes(CLUSTER)).put(72, DATA_FILE).extension(0x44415441, name)
        del self.data[DATA_A:]
        return self.entry(1, CLUSTER | COPIED)

    def extension(self, kind, body, at=112, length=None):
        return self.put4(at, kind, len(body) if length is None else length).put(at + 8, body)

    def backing(self, name, fmt=b"raw", at=4096):
        self.put(8, at).put4(16, len(name)).put(at, name)
        return self.extension(0xE2792ACA, fmt) if fmt else self

    def snapshot(self, l1=L1, entries=1, extra=b"", extra_size=None, table=0x80000, count=1):
        self.put4(60, count).put(64, table)
        head = struct.pack(">QIHHIIQI", l1, entries, 1, 3, 0, 0, 0, 0)
        head += struct.pack(">I", len(extra) if extra_size is None else extra_size)
        return self.put(table, head + extra + b"1" + b"mon")

    def cut(self, size):
        del self.data[size:]
        return self

    def write(self, path):
        with open(path, "wb") as out:
            out.write(self.data)
