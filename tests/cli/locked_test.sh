# SPDX-License-Identifier: LGPL-2.1-or-later
# An image that a QEMU process writes to is read only if that is meant, and never replaced.
qemu-img create -q -f raw disk.raw 8M
qemu-img create -q -f qcow2 -F raw -b disk.raw over.qcow2
hold_image -f raw disk.raw
trap 'finish "kill $holder"' EXIT
expect 0 "warning: disk.raw: another process is writing to it" ferry convert --source-in-use disk.raw out.raw
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
