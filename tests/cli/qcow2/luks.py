# SPDX-License-Identifier: LGPL-2.1-or-later
"""luks.py IMAGE HEADER: an empty qcow2 image from qemu-img becomes one that is encrypted with this LUKS header.

qemu-img itself measures how fast keys are derived, which takes long, and which kernels that count processor time in ticks
make impossible. The refcounts of the header are left to `qemu-img check -r all`.
"""

import struct
import sys

CLUSTER_BITS, ENCRYPTION, HEADER_LENGTH = 20, 32, 100  # where they are in the header of qcow2
LUKS, LUKS_EXTENSION = 2, 0x0537BE77
PAYLOAD = 104  # where LUKS says after how many sectors the data begins


def number(data, at):
    return struct.unpack_from(">I", data, at)[0]


def main(image_name, luks_name):
    with open(luks_name, "rb") as file:
        luks = file.read()
    luks = luks[: number(luks, PAYLOAD) * 512]
    with open(image_name, "r+b") as image:
        cluster = 1 << number(image.read(112), CLUSTER_BITS)
        image.seek(0)
        first = bytearray(image.read(cluster))
        at = -(-image.seek(0, 2) // cluster) * cluster
        struct.pack_into(">I", first, ENCRYPTION, LUKS)
        begin = number(first, HEADER_LENGTH)
        first[begin:begin] = struct.pack(">IIQQ", LUKS_EXTENSION, 16, at, len(luks))
        assert not any(first[cluster:]), "no room in the first cluster"
        image.seek(0)
        image.write(first[:cluster])
        image.seek(at)
        image.write(luks)


main(*sys.argv[1:])
