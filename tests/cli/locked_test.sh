# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that a QEMU process writes to is read only if that is meant, and never replaced.
qemu-img create -q -f raw disk.raw 8M
qemu-img create -q -f qcow2 -F raw -b disk.raw over.qcow2
qemu-io -f raw -c 'write -P 1 0 1M' -c 'sleep 20000' disk.raw >/dev/null &
writer=$!
trap 'finish "kill $writer"' EXIT
for _ in $(seq 100); do
  ferry convert --source-in-use disk.raw out.raw >said.txt 2>&1
  ! grep -q "another process is writing to it" said.txt || break
  rm -f out.raw
  sleep 0.05
done
grep -q "warning: disk.raw: another process is writing to it" said.txt || fail "no warning: $(cat said.txt)"
[[ -e out.raw ]] || fail "a warning only"
expect 1 "disk.raw: read: another process" ferry convert disk.raw no.raw
expect 1 "hint: .*--source-in-use" ferry convert disk.raw no.raw
expect 1 "disk.raw: read: another process" ferry convert -f qcow2 over.qcow2 no.raw
expect 1 "disk.raw: read: another process" ferry sparsify disk.raw no.raw
expect 1 "disk.raw: read: another process" ferry sparsify --dry-run disk.raw no.raw
expect 2 "disk.raw: read: another process" ferry compare disk.raw out.raw
expect 2 "disk.raw: read: another process" ferry compare out.raw disk.raw
[[ ! -e no.raw ]] || fail "copied"
ferry compare --source-in-use disk.raw out.raw >/dev/null
ferry info disk.raw >/dev/null
expect 1 "a running virtual machine has it open" ferry convert --force out.raw disk.raw
