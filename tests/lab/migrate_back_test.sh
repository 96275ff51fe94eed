# SPDX-License-Identifier: LGPL-2.1-or-later
# Back from RBD to files while the machine runs: sparse files with the same bytes, although its definition says nothing of discards, and nothing left behind.
source "$ROOT/tests/lab/guest_helpers.sh"

rbd create --size 64M rbd/mg-back-vda
rbd create --size 32M rbd/mg-back-vdb
head -c 2M /dev/urandom >some
rbd export --no-progress rbd/mg-back-vda - | cat >flat.raw
dd if=some of=flat.raw bs=1M seek=5 conv=notrunc status=none
rbd rm --no-progress rbd/mg-back-vda
rbd import --no-progress --sparse-size 64K flat.raw rbd/mg-back-vda
machine mg-back "$(volume_disk rbd/mg-back-vda vda)$(volume_disk rbd/mg-back-vdb vdb)"
on_a start mg-back
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 20M 64k" # what only QEMU has flushed, or not yet
dd if=<(head -c 65536 /dev/zero | tr '\0' '\007') of=flat.raw bs=64K seek=320 conv=notrunc status=none iflag=fullblock
mkdir back
ferry migrate mg-back --connect "$VMFERRY_LAB_HOSTA" --to-dir back --state-dir "$state" -q
for how in "" --inactive; do
  [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "vda file $PWD/back/mg-back-vda.raw
vdb file $PWD/back/mg-back-vdb.raw" ]] || fail "not back ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
done
same back/mg-back-vda.raw flat.raw
(($(allocated back/mg-back-vda.raw) <= 4 << 20)) || fail "not sparse: $(allocated back/mg-back-vda.raw)"
(($(allocated back/mg-back-vdb.raw) <= 1 << 20)) || fail "not sparse: $(allocated back/mg-back-vdb.raw)"
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 9 1M 64k"
[[ $(dd if=back/mg-back-vda.raw bs=1 count=1 skip=1048576 status=none | od -An -tu1 | tr -d ' ') == 9 ]] || fail "writes do not go to the file"
[[ $(find back -type f | wc -l) == 2 ]] || fail "left behind: $(ls back)"
no_journal
is_unwatched rbd/mg-back-vda || fail "the old volume is still open"
on_a destroy mg-back
on_a start mg-back

# By QEMU's mirror, with a warning. The old volumes are deleted when it is done.
rbd rm --no-progress rbd/mg-back-vda
rbd rm --no-progress rbd/mg-back-vdb
move -q
mkdir mirrored
expect 0 "thin files" ferry migrate mg-back --connect "$VMFERRY_LAB_HOSTA" --to-dir mirrored --method mirror --check
ferry migrate mg-back --connect "$VMFERRY_LAB_HOSTA" --to-dir mirrored --method mirror --delete-source --state-dir "$state" -q
[[ $(disks "$VMFERRY_LAB_HOSTA" --inactive) == "vda file $PWD/mirrored/mg-back-vda.raw
vdb file $PWD/mirrored/mg-back-vdb.raw" ]] || fail "not back: $(disks "$VMFERRY_LAB_HOSTA" --inactive)"
same mirrored/mg-back-vda.raw back/mg-back-vda.raw
! rbd ls | grep '^mg-back' >/dev/null || fail "the old volumes are left: $(rbd ls)"
no_journal
