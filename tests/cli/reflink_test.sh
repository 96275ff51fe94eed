# SPDX-License-Identifier: LGPL-2.1-or-later
# Copies that share blocks with their source (XFS on a loop device; needs root, as CI has).
((EUID == 0)) || fail "needs root for loop devices"
truncate -s 512M xfs.img
mkfs.xfs -q xfs.img
mkdir mnt
mount -o loop xfs.img mnt
trap 'finish "umount mnt"' EXIT
make_disk sparse.raw
cp --sparse=never sparse.raw mnt/disk.raw
sync mnt/disk.raw

shared() { # JSON
  python3 -c 'import json,sys; print(json.loads(sys.argv[1])["shared_bytes"])' "$1"
}

free() {
  stat -f -c '%f * %S' mnt
}

before=$(($(free)))
json=$(ferry convert --json --verify mnt/disk.raw mnt/shared.raw)
after=$(($(free)))
same mnt/disk.raw mnt/shared.raw
(($(shared "$json") > 3000000)) || fail "nothing was shared: $json"
((before - after < 1048576)) || fail "a copy that shares blocks took $((before - after)) bytes"
(($(allocated mnt/shared.raw) < 3500000)) || fail "the zeros were shared, too: $(allocated mnt/shared.raw)"

# Writing to one leaves the other.
sum=$(sha256sum <mnt/disk.raw)
dd if=/dev/urandom of=mnt/shared.raw bs=1M count=2 conv=notrunc status=none
[[ $(sha256sum <mnt/disk.raw) == "$sum" ]] || fail "the source changed"

ferry sparsify -q --reflink always mnt/disk.raw mnt/always.raw
same mnt/disk.raw mnt/always.raw
json=$(ferry convert --json --reflink never mnt/disk.raw mnt/never.raw)
(($(shared "$json") == 0)) || fail "shared all the same: $json"
same mnt/disk.raw mnt/never.raw

# Another file system: copied, or refused.
json=$(ferry convert --json mnt/disk.raw elsewhere.raw)
(($(shared "$json") == 0)) || fail "shared across file systems: $json"
same mnt/disk.raw elsewhere.raw
expect 1 "share blocks with the source.*(cross-device|not supported)" ferry convert --reflink always mnt/disk.raw refused.raw
expect 2 "only a file can share the blocks" ferry convert --reflink always mnt/disk.raw rbd:rbd/x
no_leftovers
