# SPDX-License-Identifier: LGPL-2.1-or-later
"""broken.py VMFERRY: images with one thing wrong, each with the error it must bring.

For each: exit status 1, an error that fits, little time and memory, and nothing made.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile

from image_bytes import *

SECONDS = 1.0  # of processor time
MEGABYTES = 100 * (4 if "ASAN_OPTIONS" in os.environ else 1)  # a sanitizer takes its share
HUGE = 0x7FFFFFFFFFFF0000

CASES = []


def case(name, image, expected, *options, others=None):
    """`others` makes files beside the image."""
    CASES.append((name, image, expected, options, others))


def header_cases():
    at = lambda offset: rf"qcow2 header at {offset}: "
    case("magic", Image().put(0, b"QFI\xfa"), at(0) + "this is not a qcow2 image")
    case("empty file", Image().cut(0), at(0) + "4 bytes are needed")
    case("header of 50 bytes", Image().cut(50), at(48) + "8 bytes are needed")
    case("header of 100 bytes", Image().cut(100), at(100) + "4 bytes are needed")
    case("version 0", Image().put4(4, 0), at(4) + "version 0 is not supported")
    case("version 1", Image().put4(4, 1), at(4) + r"version 1 \(qcow\) is not supported")
    case("version 4", Image().put4(4, 4), at(4) + "version 4 is not supported")
    for bits in (0, 8, 22, 0xFFFFFFFF):
        case(f"cluster_bits {bits}", Image().put4(20, bits), at(20) + f"cluster_bits is {bits}, not 9 to 21")
    case("size 2^63", Image().put(24, 1 << 63), at(24) + r"the virtual size is more than 2\^63 - 1")
    case("size 2^63 - 1", Image().put(24, (1 << 63) - 1), at(36) + "the L1 table has 1 entries, but .* needs")
    case("encryption method", Image().put4(32, 3), at(32) + "encryption method 3 is not known")
    case("L1 too small", Image().put(24, 600 << 20), at(36) + "the L1 table has 1 entries, but the virtual size needs 2")
    case("no L1", Image().put4(36, 0), at(36) + "the L1 table has 0 entries, but the virtual size needs 1")
    case("L1 too long", Image().put4(36, (32 << 20) // 8 + 1), at(40) + "the L1 table is 33554440 bytes long")
    case("L1 entries 2^32 - 1", Image().put4(36, 0xFFFFFFFF), at(40) + "the L1 table is 34359738360 bytes long")
    case("L1 unaligned", Image().put(40, L1 + 512), at(40) + "the L1 table offset 197120 is not a multiple of the cluster size")
    case("L1 in header", Image().put(40, 0), at(40) + "the L1 table is said to be in the header")
    case("L1 past end", Image().put(40, 1 << 40), at(40) + "the L1 table .* past the end of the file")
    case("L1 offset huge", Image().put(40, HUGE), at(40) + "the L1 table .* past the end of the file")
    case("L1 offset overflows", Image().put(40, 0xFFFFFFFFFFFF0000), at(40) + "the L1 table offset is too large")
    case("refcount table unaligned", Image().put(48, REFTABLE + 8), at(48) + "the refcount table offset")
    case("refcount table empty", Image().put4(56, 0), at(56) + "the refcount table is empty")
    case("refcount table long", Image().put4(56, 0xFFFFFFFF), at(48) + "the refcount table is .* bytes long, more")
    case("refcount table overflows", Image().put(48, 0xFFFFFFFFFFFF0000), at(48) + "the refcount table offset is too large")
    case("refcount_order", Image().put4(96, 7), at(96) + "refcount_order is 7, more than 6")
    case("snapshots 65537", Image().put4(60, 65537), at(60) + "65537 snapshots are more than 65536")
    case("snapshots unaligned", Image().put4(60, 1).put(64, 100), at(64) + "the snapshot table offset 100")
    for length in (0, 103, CLUSTER + 1, 0xFFFFFFFF):
        case(f"header_length {length}", Image().put4(100, length), at(100) + f"header_length is {length}, not 104 to")
    case("compression type without bit", Image().put(104, 1, size=1), at(104) + "compression type 1 does not agree")
    case("compression bit without type", Image().put(72, COMPRESSION), at(104) + "compression type 0 does not agree")
    case("compression type 2", Image().put(72, COMPRESSION).put(104, 2, size=1), at(104) + "compression type 2 is not")
    case("L1 table cut", Image().cut(L1 + 4), at(40) + "the L1 table .* past the end of the file")


def feature_cases():
    at = "qcow2 header at 72: the image needs features that are not known here: "
    case("feature bit 5", Image().put(72, 1 << 5), at + "bit 5")
    case("feature bit 63", Image().put(72, 1 << 63), at + "bit 63")
    record = bytes([0, 6]) + b"time travel\x1b[2J".ljust(46, b"\0")
    case("feature by name", Image().put(72, 1 << 6).extension(0x6803F857, record), at + r"'time travel\?\[2J' \(bit 6\)")
    case("marked corrupt", Image().put(72, CORRUPT), "the image is marked as corrupt\n.*--force-corrupt")
    case("small clusters with extended L2", Image().put4(20, 13).put(72, EXTENDED_L2).put4(36, 9),
         "qcow2 header at 20: clusters are too small")


def extension_cases():
    at = "qcow2 header at (112|120): "
    case("extension long", Image().extension(7, b"", length=CLUSTER), at + "extension 0x00000007 is 65536 bytes long")
    case("extension absurd", Image().extension(7, b"", length=0xFFFFFFFF), at + "extension .* 4294967295 bytes long")
    case("backing format long", Image().extension(0xE2792ACA, b"x" * 16), at + "the name of the backing format is too")
    twice = Image().extension(0xE2792ACA, b"raw")
    case("backing format twice", twice.extension(0xE2792ACA, b"qcow2", at=128), "the backing format is named twice")
    case("data file name long", Image().extension(0x44415441, b"x" * 1024), at + "the name of the external data file is too")
    case("data file name NUL", Image().extension(0x44415441, b"x\0y"), at + "the name of the external data file contains a NUL byte")
    case("encryption extension", Image().extension(0x0537BE77, b"x" * 15), at + "the encryption extension is 15 bytes")
    case("bitmaps extension", Image().extension(0x23852875, b"x" * 23), at + "the bitmaps extension is 23 bytes")
    long_name = "the backing file name .* is too long or outside the first cluster"
    case("backing name long", Image().backing(b"x" * 1024), "qcow2 header at 8: " + long_name)
    case("backing name outside", Image().put(8, CLUSTER - 1).put4(16, 2), "qcow2 header at 8: " + long_name)
    case("backing name far away", Image().put(8, 1 << 63).put4(16, 2), "qcow2 header at 8: " + long_name)
    case("backing name NUL", Image().backing(b"a\0b"), "the name of the backing file contains a NUL byte")


def table_cases():
    l1 = "L1 entry for guest offset 0: points to "
    l2 = "L2 entry for guest offset 0: points to "
    for name, raw, expected in (
        ("past end", 1 << 40, "1099511627776, past the end of the file"),
        ("at the far end", 0x00FFFFFFFFFF0000, "72057594037862400, past the end of the file"),
        ("unaligned", L2 + 512, "262656, which is not a multiple of the cluster size"),
        ("in the header", 512, "512, which is not a multiple"),
        ("in the L1 table", L1, "196608, into the L1 table"),
    ):
        case("L1 entry " + name, Image().put(L1, raw), l1 + expected)
        case("L2 entry " + name, Image().entry(0, raw), l2 + expected)
    case("L2 table cut", Image().cut(L2 + 1000), l1 + "262144, past the end of the file")
    case("data cut", Image().entry(3, 0).cut(DATA_B + 1000),
         "L2 entry for guest offset 64 KiB: points to 393216, past the end")
    case("cut behind the tables", Image().cut(DATA_A), l2 + "327680, past the end of the file")
    case("zero flag, unaligned", Image().entry(2, 0x50201), "guest offset 128 KiB: points to 328192, which is not")
    case("zero flag in version 2", Image(2).entry(2, 1), "guest offset 128 KiB: has a zero flag, which version 2")


def stream_cases():
    at = "compressed cluster for guest offset 192 KiB: "
    case("stream past end", Image().entry(3, COMPRESSED | 1 << 40), "L2 entry .* 192 KiB: points to .* past the end")
    case("stream in the header", Image().entry(3, COMPRESSED | 100), "L2 entry .* 192 KiB: points to 100, into the h")
    case("deflate garbage", Image().stream(b"\xff" * 600), at + "the deflate stream is damaged .at 458752")
    case("deflate short", Image().stream(deflate(b"C" * (CLUSTER - 1))), at + "the deflate stream gives less than a c")
    case("deflate cut", Image().stream(deflate(os.urandom(CLUSTER))[:3000]), at + "the deflate stream is cut short")
    case("deflate nothing", Image().stream(bytes(1)), at + "the deflate stream is (cut short|damaged)")
    case("zlib header", Image().stream(deflate(b"C" * CLUSTER, 15)), at + "the deflate stream is")
    case("zstd garbage", Image().zstd().stream(b"\xff" * 600), at + "the zstd stream is damaged")
    # A frame of one run-length block: magic, descriptor, window, block header (size, RLE, last), byte.
    frame = lambda size: bytes.fromhex("28b52ffd0038") + (size << 3 | 3).to_bytes(3, "little") + b"C"
    case("zstd too long", Image().zstd().stream(frame(CLUSTER + 1)), at + "the zstd frame gives more than a cluster")
    case("zstd short", Image().zstd().stream(frame(CLUSTER - 1)), at + "the zstd stream is cut short")
    case("zstd cut", Image().zstd().stream(frame(CLUSTER)[:-1]), at + "the zstd stream is cut short")
    wide = bytes.fromhex("28b52ffd0090") + frame(CLUSTER)[6:]  # 2^28: 256 MiB
    case("zstd window of 256 MiB", Image().zstd().stream(wide * 2), at + "the zstd stream is damaged")


def extended_cases():
    l2 = "L2 entry for guest offset 0: "
    two_things = l2 + "has a bitmap that says two things of one subcluster"
    case("subcluster zero and allocated", Image().extended().entry(0, DATA_A, 1 << 40 | 1 << 8), two_things)
    case("subclusters without a place", Image().extended().entry(0, 0, 1), two_things)
    case("extended L2 unaligned", Image().extended().entry(0, DATA_A + 512, 1), l2 + "points to 328192, which is not a")
    case("extended L2 past end", Image().extended().entry(0, 1 << 40, 1), l2 + "points to .* past the end of the file")
    case("subcluster cut", Image().extended().cut(DATA_A + 3000), l2 + "points to 327680, past the end of the file")


def data_file_cases():
    def make(size):
        return lambda: open("data.raw", "wb").truncate(size)

    allow = ("--allow-file", ".")
    case("data file not allowed", Image().data_file(), "an image may not choose its external data file\n.*--allow-file",
         others=make(SIZE))
    case("data file without a name", Image().put(72, DATA_FILE), "the image does not name it", *allow)
    case("data file missing", Image().data_file(b"no.raw"), "external data file '.*/no.raw': No such file", *allow)
    case("data file by protocol", Image().data_file(b"nbd://host/x"), "only plain files are opened", *allow)
    case("data file by json", Image().data_file(b'json:{"driver":"file"}'), "only plain files are opened", *allow)
    case("data file is a pipe", Image().data_file(b"pipe"), "pipe: open: is a pipe", *allow,
         others=lambda: os.mkfifo("pipe"))
    case("data file is the image", Image().data_file(b"image.qcow2"), "the chain comes back to this file", *allow)
    case("data file cut", Image().data_file(), "guest offset 64 KiB: points to 65536, past the end", *allow,
         others=make(CLUSTER + 100))
    case("data file elsewhere", Image().data_file().entry(1, 2 * CLUSTER | COPIED),
         "points to 131072, but in an external data file everything is where", *allow, others=make(SIZE))
    case("data file compressed", Image().data_file().entry(1, COMPRESSED | CLUSTER),
         "is compressed, which an external data file cannot hold", *allow, others=make(SIZE))
    case("data file and snapshot", Image().data_file(), "external data file cannot have snapshots", *allow,
         "--snapshot", "mon", others=make(SIZE))


def backing_cases():
    def chain():
        Image().backing(b"image.qcow2", b"qcow2").write("second.qcow2")

    def linked():
        os.symlink("image.qcow2", "link.qcow2")

    def deep():
        for i in range(300):
            Image().backing(b"%d.qcow2" % (i + 1), b"qcow2").cut(DATA_A).write(f"{i}.qcow2")

    def broken():
        Image().put(L1, 1 << 40).write("base.qcow2")

    case("backing missing", Image().backing(b"no.raw"), "open its backing file '.*/no.raw': No such file")
    case("backing a directory", Image().backing(b"dir"), "dir: open: is a directory", others=lambda: os.mkdir("dir"))
    case("backing a pipe", Image().backing(b"pipe"), "pipe: open: is a pipe", others=lambda: os.mkfifo("pipe"))
    case("backing /dev/zero", Image().backing(b"/dev/zero"), "lies outside the image's own directory")
    case("backing /dev/zero, allowed", Image().backing(b"/dev/zero"), "is a character device", "--allow-file", "/dev")
    case("backing /etc/passwd", Image().backing(b"/etc/passwd"), "lies outside the image's own directory")
    case("backing a link out", Image().backing(b"link"), "lies outside the image's own directory",
         others=lambda: os.symlink("/etc/passwd", "link"))
    case("backing itself", Image().backing(b"image.qcow2", b"qcow2"), "the chain comes back to this file")
    case("backing a loop", Image().backing(b"second.qcow2", b"qcow2"), "the chain comes back to this file", others=chain)
    case("backing a loop by link", Image().backing(b"link.qcow2", b"qcow2"), "comes back to this file", others=linked)
    case("backing too deep", Image().backing(b"0.qcow2", b"qcow2"), "more than 256 images", others=deep)
    case("backing nbd", Image().backing(b"nbd://localhost/x"), "only plain files are opened")
    case("backing of unknown format", Image().backing(b"image.qcow2", b"vmdk"), "the chain comes back|its format is 'vmdk'")
    case("backing damaged", Image().backing(b"base.qcow2", b"qcow2").entry(1, 0),
         "base.qcow2: L1 entry for guest offset 64 KiB: points to .* past the end", others=broken)
    for name, text, expected in (
        ("nonsense", b"json:{", "it is not a JSON object"),
        ("nbd", b'json:{"driver":"nbd","host":"x"}', "it does not name a plain file"),
        ("nbd below", b'json:{"driver":"raw","file":{"driver":"nbd","filename":"x"}}', "its driver 'nbd' is not known"),
        ("twice", b'json:{"driver":"raw","file.filename":"a","file":{"filename":"b"}}', "says 'file.filename' twice"),
        ("twins", b'json:{"driver":"file","filename":"a","filename":"b"}', "it says one thing twice"),
        ("window", b'json:{"driver":"raw","offset":"512","file.filename":"a"}', "its option 'offset' is not understood"),
        ("passwd", b'json:{"driver":"raw","file":{"driver":"file","filename":"/etc/passwd"}}', "outside the image's own"),
    ):
        case("backing json " + name, Image().backing(text), expected)
    case("backing json contradicts", Image().backing(b'json:{"driver":"qcow2","file.filename":"a"}'),
         "the image says that its format is 'raw', and the name says 'qcow2'")


def snapshot_cases():
    pick = ("--snapshot", "mon")
    case("no snapshots", Image(), "there is none with the name 'mon'\nhint: the image has no snapshots", *pick)
    case("no such name", Image().snapshot(), r"none with the name '1'\nhint: there are: mon \(id 1\)", "--snapshot", "1")
    case("no such id", Image().snapshot(), "there is none with the id 'mon'", "--snapshot-id", "mon")
    case("two of one name", Image().snapshot(count=2).put(0x80030, bytes(Image().snapshot().data[0x80000:])),
         "there are several like that\nhint: .*--snapshot-id", *pick)
    case("snapshot table past end", Image().put4(60, 1).put(64, 1 << 40),
         "snapshot table at 1 TiB: it goes on past the end of the file", *pick)
    case("snapshot table cut", Image().snapshot().cut(0x80000 + 42), "snapshot table at 512 KiB: it goes on past", *pick)
    case("snapshot extra data", Image().snapshot(extra_size=1025), "an entry has 1025 bytes of extra data", *pick)
    case("65536 snapshots", Image().snapshot(count=65536), "snapshot table at .* it goes on past the end", *pick)
    case("snapshot L1 too long", Image().snapshot(entries=1 << 23), r"L1 table of the snapshot 'mon' .* is too long", *pick)
    case("snapshot L1 unaligned", Image().snapshot(l1=L1 + 8), "is not aligned to a cluster", *pick)
    case("snapshot L1 in header", Image().snapshot(l1=0), "is said to be in the header", *pick)
    case("snapshot L1 past end", Image().snapshot(l1=1 << 40), "ends past the end of the file", *pick)


def encryption_cases():
    def key():
        with open("key", "wb") as out:
            out.write(b"secret")

    luks = Image().put4(32, 2)
    where = lambda offset, length: Image().put4(32, 2).extension(0x0537BE77, struct.pack(">QQ", offset, length))
    case("AES without key", Image().put4(32, 1), r"it is encrypted \(AES\)\nhint: pass --key-file")
    case("LUKS without key", luks, r"it is encrypted \(LUKS\)\nhint: pass --key-file")
    case("key file missing", luks, "no-key: open the key file: No such file", "--key-file", "no-key")
    case("LUKS without a header", luks, "the image names no LUKS header", "--key-file", "key", others=key)
    case("LUKS header past end", where(1 << 40, 4096), "the LUKS header .* past the end", "--key-file", "key", others=key)
    case("LUKS header absurd", where(0, 1 << 63), "the LUKS header .* is too long", "--key-file", "key", others=key)
    case("LUKS header garbage", where(DATA_A, 65536), "its LUKS header is damaged", "--key-file", "key", others=key)


def check(vmferry, name, image, expected, options, others):
    image.write("image.qcow2")
    if others:
        others()
    for command in (["convert", "image.qcow2", "out.raw"], ["compare", "image.qcow2", "image.qcow2"]):
        status = 1 if command[0] == "convert" else 2
        command = [vmferry, command[0], "-f", "qcow2", *options, *command[1:]]
        if status == 2:
            command[2:2] = ["-F", "qcow2"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdout=said, stderr=said)
            _, code, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(code)
            said.seek(0)
            text = said.read().decode(errors="replace")
        wrong = []
        if process.returncode != status:
            wrong.append(f"status {process.returncode}, not {status}")
        if not re.search(expected, text):
            wrong.append(f"no '{expected}'")
        if usage.ru_utime + usage.ru_stime > SECONDS:
            wrong.append(f"{usage.ru_utime + usage.ru_stime:.1f} s")
        if usage.ru_maxrss > MEGABYTES * 1024:
            wrong.append(f"{usage.ru_maxrss // 1024} MiB")
        if os.path.exists("out.raw"):
            wrong.append("a target")
        if wrong:
            yield f"{name}: {command[1]}: {', '.join(wrong)}; it said: {text}"


def main():
    vmferry = sys.argv[1]
    for make in (header_cases, feature_cases, extension_cases, table_cases, stream_cases, extended_cases,
                 data_file_cases, backing_cases, snapshot_cases, encryption_cases):
        make()
    home = os.getcwd()
    failures = []
    for number, (name, image, expected, options, others) in enumerate(CASES):
        os.mkdir(f"{number}")
        os.chdir(f"{number}")
        failures += check(vmferry, name, image, expected, options, others)
        os.chdir(home)
    for failure in failures:
        print(failure)
    print(f"{len(CASES)} broken images, {len(failures)} failures")
    sys.exit(1 if failures else 0)


main()
