# SPDX-License-Identifier: LGPL-2.1-or-later
# Every refusal names the object and leaves nothing behind.
make_disk disk.raw
cp disk.raw before.raw

expect 1 "nope.raw: open: No such file" ferry convert nope.raw out.raw
expect 1 "is a directory" ferry convert . out.raw
mkfifo pipe
expect 1 "is a pipe" timeout 5 "$VMFERRY" convert pipe out.raw
expect 1 "is a character device" ferry convert /dev/zero out.raw
expect 1 "missing/out.raw: create: its directory does not exist" ferry convert disk.raw missing/out.raw
expect 2 "is not an RBD volume" ferry convert --object-size 8M disk.raw out.raw
expect 1 "hint: pass -f raw" ferry convert -f qcow2 disk.raw out.raw
if ((EUID == 0)); then
  install -d -m 755 -o nobody readable
  install -m 600 disk.raw readable/secret.raw
  chmod 755 .
  expect 1 "secret.raw: open: Permission denied" setpriv --reuid=65534 --clear-groups "$VMFERRY" convert readable/secret.raw readable/out.raw
fi

# Existing files stay as they are; the source is never the target.
echo precious >there.raw
expect 1 "there.raw: create: the file exists" ferry convert disk.raw there.raw
[[ $(cat there.raw) == precious ]] || fail "an existing file was touched"
expect 1 "it is the source" ferry convert --force disk.raw disk.raw
ln disk.raw hard.raw
expect 1 "it is the source" ferry convert --force disk.raw hard.raw
same disk.raw before.raw
qemu-img create -q -f qcow2 -F raw -b disk.raw overlay.qcow2
expect 1 "or the source is backed by it" ferry convert -f qcow2 --force overlay.qcow2 disk.raw

# Truncated qcow2 images: QEMU reads zeros there, we stop.
qemu-img convert -O qcow2 disk.raw whole.qcow2
for length in 10 100 70000 300000 1000000 $(($(stat -c %s whole.qcow2) - 65536)); do
  head -c "$length" whole.qcow2 >cut.qcow2
  expect 1 "cut.qcow2" ferry convert -f qcow2 cut.qcow2 out.raw
done
expect 1 "disk.raw" ferry convert -f qcow2 disk.raw out.raw

# Chains that loop end at once.
qemu-img create -q -f qcow2 self.qcow2 1M
qemu-img rebase -q -u -f qcow2 -F qcow2 -b self.qcow2 self.qcow2
expect 1 "comes back to this file" timeout 5 "$VMFERRY" convert -f qcow2 self.qcow2 out.raw

# A full file system.
if ((EUID == 0)); then
  mkdir small
  mount -t tmpfs -o size=2M tmpfs small
  expect 1 "small/out.raw: write at .*No space left on device" ferry convert disk.raw small/out.raw
  left=$(ls -A small)
  umount small
  [[ -z $left ]] || fail "left on the full file system: $left"
fi

# Usage.
expect 2 "hint: see 'vmferry --help'" ferry
expect 2 "no command 'frobnicate'" ferry frobnicate
expect 2 "hint: see 'vmferry convert --help'" ferry convert --frobnicate disk.raw out.raw
expect 2 "hint: see 'vmferry convert --help'" ferry convert --rate-limit
expect 2 "hint: name a target.* see 'vmferry convert --help'" ferry convert disk.raw
expect 2 "--rate-limit: .*is not a valid size" ferry convert --rate-limit fast disk.raw out.raw
expect 2 "does not name a pool" ferry convert disk.raw rbd:volume
expect 1 "not supported" ferry convert gopher://localhost/x out.raw
expect 0 "Examples" ferry convert --help
expect 0 "convert" ferry --help
expect 0 "^vmferry [0-9]+\.[0-9]+" ferry --version

[[ ! -e out.raw ]] || fail "a refused run left a target"
no_leftovers
