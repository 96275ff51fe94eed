# SPDX-License-Identifier: LGPL-2.1-or-later
# Block devices as source and target (loop devices; needs root, as CI has).
((EUID == 0)) || fail "needs root for loop devices"
make_disk disk.raw
truncate -s 32M back.img
dd if=/dev/urandom of=back.img bs=1M count=32 conv=notrunc status=none
tail -c 4096 back.img >tail.before
loop=$(losetup --find --show back.img)
clear_device() {
  umount -q mnt
  losetup -d "$loop"
}
trap 'finish clear_device' EXIT

expect 1 "is a block device, .*overwritten" ferry convert disk.raw "$loop"
ferry convert -q --force --verify disk.raw "$loop"
head -c 20000001 "$loop" | cmp - disk.raw || fail "the device holds something else"
# What lies behind the image is left alone.
tail -c 4096 "$loop" | cmp - tail.before || fail "the tail was touched"
expect 1 "the sizes differ" ferry compare disk.raw "$loop"

ferry convert -q "$loop" from-device.raw
cmp from-device.raw "$loop" || fail "reading the device"

truncate -s 40M large.raw
expect 1 "the device has 32 MiB, the image needs 40 MiB" ferry convert --force large.raw "$loop"
expect 1 "it is the source" ferry convert --force "$loop" "$loop"
mkfs.ext4 -q "$loop"
mkdir mnt
mount "$loop" mnt

expect 1 "the device is in use" ferry convert --force disk.raw "$loop"
umount mnt

# In place, zeros on a device are dropped: the loop driver makes holes of them in its file.
dd if=/dev/zero of="$loop" bs=1M seek=4 count=20 conv=notrunc,fsync status=none
sync "$loop"
cp --sparse=never "$loop" before.raw
before=$(allocated back.img)
ferry sparsify --dry-run "$loop" | grep -q 'would save' || fail "no dry run"
ferry sparsify --in-place "$loop" >said.txt
grep -Eq 'saved [0-9.]+ MiB' said.txt || fail "said: $(cat said.txt)"
cmp before.raw "$loop" || fail "the device reads differently"
(($(allocated back.img) + 19000000 < before)) || fail "$before, now $(allocated back.img)"
expect 1 "or a loop device, has it open for writing" ferry sparsify --in-place back.img
mkfs.ext4 -q "$loop"
mount "$loop" mnt
expect 1 "the device is in use" ferry sparsify --in-place "$loop"
umount mnt

# Linux lets root open a read-only device for writing, and fails each write.
blockdev --setro "$loop"
expect 1 "the device is read-only" ferry convert --force disk.raw "$loop"
expect 1 "the device is read-only" ferry sparsify --in-place "$loop"
blockdev --setrw "$loop"
expect 1 "is a character device" ferry convert --force disk.raw /dev/null
