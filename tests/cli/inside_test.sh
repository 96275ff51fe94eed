# SPDX-License-Identifier: LGPL-2.1-or-later
# Partition tables and file systems, read straight from images; sfdisk and blkid are the oracles.
PATH=$PATH:/sbin:/usr/sbin

# inside IMAGE RAW FORMAT: what info says of IMAGE agrees with what sfdisk and blkid say of RAW, the same disk.
inside() {
  ferry info -q -f "$3" --json "$1" >got.json
  sfdisk --json "$2" >want.json 2>/dev/null || echo '{}' >want.json
  python3 - "$2" <<'END'
import json, subprocess, sys
disk = sys.argv[1]
got = json.load(open("got.json"))["contents"]
want = json.load(open("want.json")).get("partitiontable")

def blkid(offset, size):
    probe = subprocess.run(["blkid", "-p", "-o", "export", "-O", str(offset), "-S", str(size), disk],
                           capture_output=True, text=True)
    said = dict(line.replace("\\", "").split("=", 1) for line in probe.stdout.splitlines() if "=" in line)
    return {k: said.get(v) for k, v in (("type", "TYPE"), ("uuid", "UUID"), ("version", "VERSION"), ("usage", "USAGE"))}

def known(found):
    return {k: (found or {}).get(k) for k in ("type", "uuid", "version", "usage")}

if want is None:
    assert "partition_table" not in got, got
else:
    table = got["partition_table"]
    assert table["scheme"] == {"dos": "mbr", "gpt": "gpt"}[want["label"]], (table, want)
    assert table["id"].lower() == want["id"].lower(), (table, want)
    assert table["sector_bytes"] == want["sectorsize"], (table, want)
    theirs = want.get("partitions", [])
    assert len(table["partitions"]) == len(theirs), (table, want)
    for p, w in zip(table["partitions"], theirs):
        assert w["node"].endswith(str(p["number"])), (p, w)
        assert (p["offset"], p["bytes"]) == (w["start"] * 512, w["size"] * 512), (p, w)
        assert int(p["type"], 16) == int(w["type"], 16) if want["label"] == "dos" else p["type"] == w["type"], (p, w)
        assert p.get("name") == w.get("name"), (p, w)
        assert want["label"] == "dos" or p["uuid"] == w["uuid"], (p, w)
        assert p.get("active", False) == w.get("bootable", False), (p, w)
        if p.get("role") != "extended":
            assert known(p.get("file_system")) == blkid(p["offset"], p["bytes"]), (p, blkid(p["offset"], p["bytes"]))
END
}
everywhere() { # RAW: as a file, as qcow2, and compressed
  inside "$1" "$1" raw
  qemu-img convert -O qcow2 -f raw "$1" inside.qcow2
  inside inside.qcow2 "$1" qcow2
  qemu-img convert -c -O qcow2 -f raw "$1" inside.qcow2
  inside inside.qcow2 "$1" qcow2
}

# A file system is made in a file of its own and put in its place.
put() { # DISK OFFSET FILE
  dd if="$3" of="$1" bs=1M seek=$(($2 >> 20)) conv=notrunc,sparse status=none
}
mkdir tree
echo hello >tree/file
made() { # NAME SIZE COMMAND...: COMMAND makes something in the file NAME
  rm -f "$1"
  truncate -s "$2" "$1"
  "${@:3}" >/dev/null 2>&1 || fail "${*:3}"
}
made ext4 64M mke2fs -q -t ext4 -L rüben ext4
made xfs 320M mkfs.xfs -q -L xroot xfs
made btrfs 128M mkfs.btrfs -q -L broot btrfs
made vfat 64M mkfs.vfat -F 32 -n EFI vfat
made ntfs 64M mkntfs -q -F -Q -L windows ntfs
made swap 64M mkswap -L sw swap
made luks1 64M cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000 luks1 "$ROOT/LICENSE"
made luks2 64M cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luks2 "$ROOT/LICENSE"
xorriso -as mkisofs -quiet -V CDROM -o iso tree >/dev/null 2>&1
truncate -s 64M iso
# What pvcreate and mdadm write; they themselves want block devices. LVM2: a label in sector 1. MD 1.0: a superblock
# 8 KiB before the end, aligned to 4 KiB.
truncate -s 64M lvm
python3 - <<'END'
import struct
def lvm_crc(data):
    table = [0x0, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
             0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c]
    crc = 0xf597a6cf
    for byte in data:
        crc ^= byte
        crc = (crc >> 4) ^ table[crc & 15]
        crc = (crc >> 4) ^ table[crc & 15]
    return crc
uuid = b"0123456789abcdefghijklmnopqrstuv"
tail = struct.pack("<I8s", 32, b"LVM2 001") + uuid + struct.pack("<Q", 64 << 20)
tail = tail.ljust(512 - 20, b"\0")
label = b"LABELONE" + struct.pack("<Q", 1) + struct.pack("<I", lvm_crc(tail)) + tail
with open("lvm", "r+b") as f:
    f.seek(512)
    f.write(label)
END
truncate -s 64M raid
python3 - <<'END'
import struct
size = 64 << 20
at = ((size // 512 - 16) & ~7) * 512
sb = struct.pack("<IIII16s32sQIIQIiI", 0xa92b4efc, 1, 0, 0, bytes(range(16)), b"box:md0", 1700000000, 1, 0, 0, 0, 2, 0)
sb = sb.ljust(128, b"\0") + struct.pack("<QQQ", 0, at // 512, at // 512)
sb = sb.ljust(256, b"\0")
csum = sum(struct.unpack("<64I", sb))
csum = (csum & 0xffffffff) + (csum >> 32)
sb = sb[:216] + struct.pack("<I", csum & 0xffffffff) + sb[220:]
with open("raid", "r+b") as f:
    f.seek(at)
    f.write(sb)
END

# GPT with all of them.
truncate -s 1200M gpt.raw
{
  echo 'label: gpt'
  echo 'size=64M, name="grün"'
  echo 'size=320M'
  echo 'size=128M'
  echo 'size=64M, type=U, name="EFI"'
  for _ in ntfs swap luks1 luks2 iso lvm raid; do echo 'size=64M'; done
} | sfdisk -q gpt.raw
at=1
for name in ext4 xfs btrfs vfat ntfs swap luks1 luks2 iso lvm raid; do
  put gpt.raw $((at << 20)) $name
  at=$((at + $(stat -c %s $name) / 1048576))
done
everywhere gpt.raw
python3 - <<'END'
import json
parts = json.load(open("got.json"))["contents"]["partition_table"]["partitions"]
types = [p["file_system"]["type"] for p in parts]
assert types == ["ext4", "xfs", "btrfs", "vfat", "ntfs", "swap", "crypto_LUKS", "crypto_LUKS", "iso9660",
                 "LVM2_member", "linux_raid_member"], types
labels = [p["file_system"].get("label") for p in parts]
assert labels[:6] == ["rüben", "xroot", "broot", "EFI", "windows", "sw"], labels
END
ferry info inside.qcow2 >text
grep -Eq '^ +1 +1 MiB +64.0 MiB +Linux filesystem +grün +ext4 1.0 +rüben$' text || fail "no table: $(cat text)"

# MBR with an extended partition.
truncate -s 300M mbr.raw
sfdisk -q mbr.raw <<'END'
label: dos
1 : size=64M, type=83, bootable
2 : size=200M, type=f
5 : size=64M, type=82
6 : size=64M, type=7
END
put mbr.raw 1048576 ext4
put mbr.raw $(($(sfdisk --json mbr.raw | python3 -c 'import json,sys; print(json.load(sys.stdin)["partitiontable"]["partitions"][2]["start"])') * 512)) swap
everywhere mbr.raw

# Only the first 512 bytes: the table is told all the same.
head -c 512 mbr.raw >mbr.dump
expect 0 'Partition table: MBR' ferry info mbr.dump
expect 0 '^ +1 +1 MiB +64.0 MiB +Linux +active$' ferry info mbr.dump
expect 0 'note: partition 1 ends at byte 68157440, beyond the end of the disk' ferry info mbr.dump
head -c 17408 gpt.raw >gpt.dump
expect 0 '^ +11 .*Linux filesystem' ferry info gpt.dump

# CHS addresses that contradict the sectors, and a chain that runs in a circle.
cp mbr.raw odd.raw
printf '\x07\x09\x05' | dd of=odd.raw bs=1 seek=447 conv=notrunc status=none
expect 0 'note: partition 1: its CHS addresses 5/7/9 to' ferry info odd.raw
expect 0 '"chs":\{"first":\[5,7,9\]' ferry info --json odd.raw

# No table: the file system begins where the disk does. A boot sector is no table.
for name in ext4 vfat ntfs luks2 iso swap raid; do
  ferry info --json -f raw $name >got.json
  python3 - "$name" <<'END'
import json, sys
got = json.load(open("got.json"))["contents"]
want = {"luks2": "crypto_LUKS", "iso": "iso9660", "raid": "linux_raid_member"}.get(sys.argv[1], sys.argv[1])
assert got["file_system"]["type"] == want and "partition_table" not in got, got
END
done

# Neither root nor a device is needed.
chmod 755 . && chmod 644 gpt.raw
if ((EUID == 0)); then
  setpriv --reuid 65534 --regid 65534 --clear-groups "$VMFERRY" info gpt.raw >text || fail "needs root"
  grep -q xroot text || fail "without root: $(cat text)"
fi
