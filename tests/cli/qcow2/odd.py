# SPDX-License-Identifier: LGPL-2.1-or-later
"""odd.py VMFERRY: images that are legal but odd. Each must read as qemu-img reads it."""

import filecmp
import os
import struct
import subprocess
import sys

from image_bytes import *

CASES = []


def case(name, image, *options):
    CASES.append((name, image, options))


def frame(data):
    """A zstd frame of raw blocks."""
    out = bytes.fromhex("28b52ffd0038")
    while True:
        block, data = data[:60000], data[60000:]
        out += (len(block) << 3 | (0 if data else 1)).to_bytes(3, "little") + block
        if not data:
            return out


def cases():
    case("as it is", Image())
    case("version 2", Image(2))
    case("size not a multiple of a cluster", Image().put(24, SIZE - 512 * 77))
    case("size 0", Image().put(24, 0).put4(36, 0))
    case("one sector", Image().put(24, 512))
    case("L1 longer than needed", Image().put4(36, 3).put(L1 + 8, 1 << 40))
    case("L1 table not padded", Image().entry(0, 0).entry(1, 0).put(L1, 0).cut(L1 + 8))
    case("shared L2 table", Image().put(24, 2 * (512 << 20)).put4(36, 2).put(L1 + 8, L2 | COPIED))
    case("reserved bits of an L1 entry", Image().put(L1, L2 | 0x7F000000000001FF | COPIED))
    case("reserved bits of an L2 entry", Image().entry(0, DATA_A | 0x3F000000000001FE))
    case("no copied flags", Image().put(L1, L2).entry(0, DATA_A).entry(1, DATA_B))
    case("copied flag on nothing", Image().entry(5, COPIED))
    case("two entries, one cluster", Image().entry(7, DATA_A))
    case("zero flag over data", Image().entry(0, DATA_A | 1))
    case("zero flag over a place past the end", Image().entry(0, 1 << 40 | 1))
    case("compressed and copied", Image().put(L2 + 24, COPIED | int.from_bytes(Image().data[L2 + 24 : L2 + 32], "big")))
    for length in (104, 105, 111, CLUSTER):
        case(f"header_length {length}", Image().put4(100, length))
    case("header of version 3 without the last field", Image().put4(100, 104).extension(0xE2792ACA, b"raw", at=104))
    case("no end marker", Image().extension(0x12345678, b"x" * (CLUSTER - 120)))
    case("unknown extension", Image().extension(0x12345678, b"unknown"))
    case("extensions in version 2", Image(2).extension(0x12345678, b"unknown", at=72))
    case("backing name of no length", Image().put(8, 4096))
    case("autoclear bits of nobody", Image().put(88, 0xFF00))
    case("compatible bits of nobody", Image().put(80, 0xFF00))
    case("dirty", Image().put(72, 1))
    for order in range(7):
        case(f"refcount_order {order}", Image().put4(96, order))
    case("refcounts of garbage", Image().put(REFBLOCK, os.urandom(CLUSTER)))
    case("deflate with garbage behind", Image().stream(deflate(b"C" * CLUSTER) + os.urandom(300)))
    case("deflate of more than a cluster", Image().stream(deflate(b"C" * (2 * CLUSTER))))
    case("deflate of stored blocks", Image().stream(deflate(os.urandom(CLUSTER))))
    case("deflate said to be longer", Image().stream(deflate(b"C" * CLUSTER), sectors=100))
    case("zstd in two frames", Image().zstd().stream(frame(b"C" * 30000) + frame(b"D" * (CLUSTER - 30000))))
    case("zstd with garbage behind", Image().zstd().stream(frame(b"C" * CLUSTER) + os.urandom(300)))
    skip = struct.pack("<II", 0x184D2A50, 5) + b"12345"
    case("zstd with a frame to skip", Image().zstd().stream(skip + frame(b"C" * CLUSTER)))
    case("subclusters", Image().extended())
    case("subclusters of all kinds", Image().extended().entry(0, DATA_A, 0xFF00FF00_00FF00FF).entry(1, 0, 0xFFFF << 32))
    case("subclusters and bit 0", Image().extended().entry(0, DATA_A | 1, 0xFFFF))
    case("last subclusters past the end", Image().extended().entry(0, 0, 0).entry(1, DATA_B, 0xF).cut(DATA_B + 8192))
    case("compressed, with a bitmap", Image().extended().stream(deflate(b"C" * CLUSTER), index=0)
         .put(L2, COMPRESSED | STREAM, (1 << 64) - 1))
    case("snapshot that shares everything", Image().snapshot(), "--snapshot", "mon")
    case("snapshot with a shorter L1", Image().snapshot(entries=0), "--snapshot-id", "1")
    case("bitmaps extension without its bit", Image().extension(0x23852875, struct.pack(">IIQQ", 1, 0, 32, DATA_A)))


def convert(vmferry, options):
    subprocess.run([vmferry, "convert", "-q", "-f", "qcow2", *options, "odd.qcow2", "ours.raw"], check=True)


def qemu(options):
    snapshot = ["-l", "snapshot." + ("id=1" if "id" in options[0] else "name=mon")] if options else []
    subprocess.run(["qemu-img", "convert", "-f", "qcow2", *snapshot, "-O", "raw", "odd.qcow2", "qemu.raw"], check=True)


def main():
    failures = 0
    cases()
    for name, image, options in CASES:
        image.write("odd.qcow2")
        try:
            convert(sys.argv[1], options)
            qemu(options)
            subprocess.run([sys.argv[1], "compare", "-q", "-f", "qcow2", *options, "odd.qcow2", "qemu.raw"], check=True)
            good = filecmp.cmp("ours.raw", "qemu.raw", shallow=False)
        except subprocess.CalledProcessError:
            good = False
        if not good:
            failures += 1
            print(f"{name}: not as qemu-img reads it")
        for path in ("ours.raw", "qemu.raw"):
            if os.path.exists(path):
                os.remove(path)
    print(f"{len(CASES)} odd images, {failures} failures")
    sys.exit(1 if failures else 0)


main()
