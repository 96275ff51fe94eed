# SPDX-License-Identifier: LGPL-2.1-or-later
"""random_ops.py VMFERRY [SEED [ROUNDS]]: random images against qemu-img.

Each round makes an image and does random things to it with qemu-io and qemu-img: writes, compressed writes, zeros, discards,
snapshots, resizes, overlays, rebases, commits. After every few, the image and each of its snapshots must read as
qemu-img reads them. The seed is printed; the same seed makes the same images.
"""

import filecmp
import os
import random
import subprocess
import sys

ROUNDS = 5
STEPS = 6
SECTOR = 512


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nsaid: {done.stdout}")


class Disk:
    """An image with its chain, and what may be done to it."""

    def __init__(self, rng):
        self.rng = rng
        self.count = 0
        self.snapshots = 0
        self.size = self.any_size()
        self.path = self.create(None)
        self.below = []

    def any_size(self):
        return self.rng.choice([1 << 20, 5 << 20, 40 << 20, 700 << 20]) + SECTOR * self.rng.randrange(5000)

    def create(self, backing):
        rng = self.rng
        bits = rng.choice([9, 10, 12, 16, 16, 18, 21])
        options = [f"cluster_size={1 << bits}"]
        if bits >= 14 and rng.random() < 0.4:
            options.append("extended_l2=on")
        options.append(f"compression_type={rng.choice(['zlib', 'zstd'])}")
        if not backing and rng.random() < 0.3:
            options.append(f"preallocation={rng.choice(['metadata', 'falloc'])}")
        self.count += 1
        path = f"{self.count}.qcow2"
        base = ["-b", backing, "-F", "qcow2"] if backing else []
        run("qemu-img", "create", "-q", "-f", "qcow2", "-o", ",".join(options), *base, path, str(self.size))
        return path

    def place(self):
        """Mostly near the front, so that things meet; sometimes at the very end."""
        rng = self.rng
        length = rng.choice([SECTOR, 4096, 65536, 1 << 20]) * rng.randrange(1, 9)
        length = min(length, self.size)
        last = self.size - length
        offset = rng.choice([rng.randrange(0, min(last, 4 << 20) + 1), rng.randrange(last + 1), last])
        return offset // SECTOR * SECTOR, length

    def io(self):
        commands, packed = [], []
        for _ in range(self.rng.randrange(1, 12)):
            offset, length = self.place()
            pattern = self.rng.randrange(1, 256)
            kind = self.rng.choice(
                [f"write -P {pattern}", f"write -P {pattern}", "write -z", "write -z -u", "discard", "compressed"])
            if kind == "compressed":
                offset = offset >> 21 << 21  # compressed writes are whole clusters
                if offset + (2 << 20) > self.size:
                    continue
                packed += ["-c", f"write -c -P {pattern} {offset} {2 << 20}"]
                continue
            commands += ["-c", f"{kind} {offset} {length}"]
        if commands:
            run("qemu-io", "-f", "qcow2", *commands, self.path)
        if packed:
            # QEMU compresses nothing over what is allocated already: it fails then, and changes nothing.
            subprocess.run(["qemu-io", "-f", "qcow2", *packed, self.path], capture_output=True, check=False)

    def snapshot(self):
        self.snapshots += 1
        run("qemu-img", "snapshot", "-c", f"s{self.snapshots}", self.path)

    def resize(self):
        size = self.any_size()
        if self.snapshots and size < self.size:
            return
        run("qemu-img", "resize", "-q", "-f", "qcow2", "--shrink", self.path, str(size))
        self.size = size

    def overlay(self):
        if len(self.below) > 5:
            return
        self.below.append(self.path)
        self.snapshots = 0
        if self.rng.random() < 0.5:
            self.size = self.any_size()
        self.path = self.create(self.path)

    def rebase(self):
        if len(self.below) > 1 and not self.snapshots:
            del self.below[-1]
            run("qemu-img", "rebase", "-f", "qcow2", "-F", "qcow2", "-b", self.below[-1], self.path)

    def commit(self):
        if self.below and not self.snapshots:
            run("qemu-img", "commit", "-q", "-d", "-f", "qcow2", self.path)

    def step(self):
        self.rng.choice([self.io] * 6 + [self.snapshot, self.resize, self.overlay, self.rebase, self.commit])()

    def check(self, vmferry):
        self.same(vmferry, [], [])
        for number in range(1, self.snapshots + 1):
            self.same(vmferry, ["--snapshot", f"s{number}"], ["-l", f"snapshot.name=s{number}"])

    def same(self, vmferry, ours, theirs):
        for path in ("ours.raw", "qemu.raw"):
            if os.path.exists(path):
                os.remove(path)
        run(vmferry, "convert", "-q", "-f", "qcow2", *ours, self.path, "ours.raw")
        run("qemu-img", "convert", "-f", "qcow2", *theirs, "-O", "raw", self.path, "qemu.raw")
        if not filecmp.cmp("ours.raw", "qemu.raw", shallow=False):
            sys.exit(f"{self.path} {ours}: not as qemu-img reads it")
        run(vmferry, "compare", "-q", "-f", "qcow2", *ours, self.path, "qemu.raw")


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else ROUNDS
    print(f"seed {seed}", flush=True)
    for number in range(rounds):
        os.mkdir(f"{number}")
        os.chdir(f"{number}")
        disk = Disk(random.Random(seed * 1000 + number))
        for _ in range(STEPS):
            for _ in range(3):
                disk.step()
            disk.check(sys.argv[1])
        os.chdir("..")
    print(f"{rounds} rounds, all the same")


main()
