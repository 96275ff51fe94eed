# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that a QEMU process writes to is read with a warning, and never replaced.
qemu-img create -q -f raw disk.raw 8M
qemu-io -f raw -c 'write -P 1 0 1M' -c 'sleep 20000' disk.raw >/dev/null &
writer=$!
trap 'finish "kill $writer"' EXIT
for _ in $(seq 100); do
  ferry convert disk.raw out.raw >said.txt 2>&1
  ! grep -q "another process is writing to it" said.txt || break
  rm -f out.raw
  sleep 0.05
done
grep -q "warning: disk.raw: another process is writing to it" said.txt || fail "no warning: $(cat said.txt)"
[[ -e out.raw ]] || fail "a warning only"
expect 1 "a running virtual machine has it open" ferry convert --force out.raw disk.raw
