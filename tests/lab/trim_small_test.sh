# SPDX-License-Identifier: LGPL-2.1-or-later
# --trim on a disk with MBR and with LUKS, on one without a table, and what is refused.
((EUID == 0)) || fail "needs root, as the lab does"
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg LIBGUESTFS_CACHEDIR=/var/tmp TMPDIR=$work
readonly GONE="DELETED BY GUEST"
mkdir tree
head -c 2M /dev/urandom >tree/keep.bin

remnants() { # IMAGE FIRST COUNT, in MiB: lines of what was deleted
  dd if="$1" bs=1M skip="$2" count="$3" status=none | grep -ac "$GONE" || true
}

# sda1 ext4, sda2 extended with sda5 ext2 and sda6 LUKS; all that is free holds what was deleted.
head -c 96M < <(yes "$GONE") >mbr.raw
head -c 24M < <(yes "$GONE") >part
mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0 -d tree part 16M
dd if=part of=mbr.raw bs=1M seek=1 count=16 conv=notrunc status=none
head -c 16M < <(yes "$GONE") >part
mke2fs -q -F -t ext2 -L keep -E nodiscard,lazy_itable_init=0 -d tree part
dd if=part of=mbr.raw bs=1M seek=20 conv=notrunc status=none
dd if=/dev/zero of=mbr.raw bs=512 count=1 conv=notrunc status=none
sfdisk -q mbr.raw <<'END'
label: dos
start=1MiB, size=16MiB
start=18MiB, size=60MiB, type=5
start=20MiB, size=16MiB
start=38MiB, size=36MiB
END
# QEMU encrypts (LUKS 1) without help of this kernel; the same key and cipher under a header of LUKS 2 decrypt it.
printf secret >secret.txt
head -c 18M < <(yes "$GONE") >part
mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0 -d tree part
truncate -s 20M luks1 # the header takes 2 MiB
cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --key-size 512 --cipher aes-xts-plain64 luks1 secret.txt
qemu-img convert -n -f raw --object secret,id=key,file=secret.txt --target-image-opts part driver=luks,key-secret=key,file.filename=luks1
cryptsetup -q luksDump --dump-volume-key --volume-key-file volume.key --key-file secret.txt luks1 >/dev/null
truncate -s 36M luks2
cryptsetup -q luksFormat --type luks2 --volume-key-file volume.key --key-size 512 --cipher aes-xts-plain64 --sector-size 512 \
  --pbkdf pbkdf2 --pbkdf-force-iterations 1000 luks2 secret.txt
tail -c 18M luks1 | dd of=luks2 bs=1M seek=16 conv=notrunc status=none
dd if=luks2 of=mbr.raw bs=1M seek=38 conv=notrunc status=none
cp mbr.raw before.raw

# Without the key, and with one file system named that is to be left alone.
ferry convert --trim --ignore keep --json mbr.raw copy.raw >copy.json 2>/dev/null
same before.raw mbr.raw
python3 - <<'PY'
import json
parts = {part["name"]: part for part in json.load(open("copy.json"))["parts"]}
assert parts["/dev/sda1"]["dropped_bytes"] > 8 << 20, parts
assert parts["/dev/sda5"]["left_whole"] == "not chosen", parts
assert "encrypted, and no --key" in parts["/dev/sda6"]["left_whole"], parts
assert [part["size_bytes"] for part in parts.values() if part["type"] == "gap"] == [1 << 20, 17 << 20], parts
PY
(($(remnants copy.raw 1 16) < 60000)) || fail "the first partition was not trimmed"
cmp -n 1048576 before.raw copy.raw || fail "what lies before the first partition was touched"
cmp -i 18874368 -n 62914560 before.raw copy.raw || fail "the extended partition was touched"
(($(remnants copy.raw 78 17) == 0 && $(remnants copy.raw 95 1) > 0)) || fail "the gap"

# With the key, in place.
echo >>secret.txt # an editor's newline does not count
ferry sparsify --trim --in-place --only /dev/mapper/vmferry0 --key /dev/sda6:file:secret.txt mbr.raw >said.txt
grep -Eq '/dev/mapper/vmferry0 +ext4 .* [1-9][0-9.]* MiB dropped' said.txt || fail "said: $(cat said.txt)"
cmp -n 39845888 before.raw mbr.raw || fail "more than the chosen file system was touched"
# guestfish takes the key from where it takes its commands.
printf '%s\n' "add mbr.raw format:raw readonly:true" run "cryptsetup-open /dev/sda6 box" secret "mount-ro /dev/mapper/box /" \
  "checksum sha256 /keep.bin" >sum.gf
[[ $(guestfish --keys-from-stdin -f sum.gf) == "$(sha256sum <tree/keep.bin | cut -d' ' -f1)" ]] || fail "the encrypted file changed"

# No table; a dry run; a name that fits nothing.
head -c 32M < <(yes "$GONE") >bare.raw
mke2fs -q -F -t ext3 -E nodiscard,lazy_itable_init=0 -d tree bare.raw
expect 2 "no file system has this device name, UUID or label" ferry sparsify --trim --only /dev/sda7 bare.raw x.raw
ferry sparsify --dry-run --trim bare.raw >said.txt
grep -Eq '/dev/sda +ext3 +32.0 MiB, [0-9.]+ MiB used, [12][0-9.]+ MiB dropped' said.txt || fail "said: $(cat said.txt)"
(($(remnants bare.raw 0 32) > 500000)) || fail "a dry run changed the image"

# Room, and who is in the way.
truncate -s 15T huge.raw
mkdir small
mount -t tmpfs -o size=8m none small
trap 'finish "umount small"' EXIT
expect 1 "it may need .* GiB, and there are" ferry sparsify --trim --tmp small huge.raw x.raw
expect 1 "No such file" ferry sparsify --trim --tmp none huge.raw x.raw
exec 7>>bare.raw
expect 1 "has it open for writing" ferry sparsify --trim bare.raw x.raw
expect 1 "has it open for writing" ferry sparsify --trim --in-place bare.raw
exec 7>&-
no_leftovers
[[ -z $(find . -name 'vmferry-trim*') ]] || fail "left behind: $(find . -name 'vmferry-trim*')"
