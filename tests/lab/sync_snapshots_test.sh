# SPDX-License-Identifier: LGPL-2.1-or-later
# A warm move by snapshots of one volume: the guest is not touched, what somebody does to the volumes is noticed, killed runs go on, and snapshots go along.
source "$ROOT/tests/lab/sync_pools_helpers.sh"

truncate -s 64M flat.raw
dd if=/dev/urandom of=flat.raw bs=1M seek=5 count=2 conv=notrunc status=none
rbd import --no-progress --sparse-size 64K flat.raw rbd/mg-one-vda
machine mg-one "$(volume_disk rbd/mg-one-vda vda)"
on_a start mg-one
# written AT BYTE: 64 KiB, by the guest.
written() {
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $2 $1 64k"
  dd if=<(head -c 65536 /dev/zero | tr '\0' "\\$(printf %03o "$2")") of=flat.raw bs=64K seek=$(($(numfmt --from iec "$1") >> 16)) conv=notrunc status=none iflag=fullblock
}
written 20M 7
rbd snap create --no-progress rbd/mg-one-vda@vmferry-sync-1
expect 1 "has the snapshot vmferry-sync-1 already, which is of another warm move" to_fast --overlay-dir "$PWD/overlays"
rbd snap rm --no-progress rbd/mg-one-vda@vmferry-sync-1
virsh -q -c "$VMFERRY_LAB_HOSTA" event mg-one --all --loop >events 2>&1 &
watcher=$!
to_fast --overlay-dir "$PWD/overlays" -q
synced_to_fast 1 vda
rbd export --no-progress mg-fast/mg-one-vda@vmferry-sync-1 - | cmp - flat.raw
written 1M 9
written 20M 0
qemu-io -f raw -c "write -P 3 40M 64k" rbd:mg-fast/mg-one-vda >/dev/null # by somebody
to_fast -q
synced_to_fast 2 vda
rbd export --no-progress mg-fast/mg-one-vda@vmferry-sync-2 - | cmp - flat.raw
on_a suspend mg-one
on_a resume mg-one
until_true 10 grep -q Suspended events
[[ $(head -1 events) == *Suspended* ]] || fail "the guest was touched: $(cat events)"
kill "$watcher"

rbd snap rename rbd/mg-one-vda@vmferry-sync-2 rbd/mg-one-vda@gone
expect 1 "has no snapshot vmferry-sync-2 any more, which tells what is new" to_fast
rbd snap rename rbd/mg-one-vda@gone rbd/mg-one-vda@vmferry-sync-2

# Killed at each step, and gone on with.
number=20
for step in "make the snapshot" "copy what is new" "write down"; do
  written 30M $((number++))
  in_background sync mg-one --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --rate-limit 1M
  wait_for_step "$step"
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
  to_fast -q 2>said || fail "after a kill in '$step': $(cat said)"
  synced_to_fast "$(number_of_sync)" vda
  rbd export --no-progress "mg-fast/mg-one-vda@vmferry-sync-$(number_of_sync)" - | cmp - flat.raw
done

# Given up: the old volume is as before, the new one goes.
to_fast --stop --remove-volumes -q
[[ -z $(marks rbd/mg-one-vda) ]] || fail "snapshots are left: $(marks rbd/mg-one-vda)"
! rbd ls mg-fast | grep mg-one >/dev/null || fail "the new volume is left"
is_on rbd/mg-one-vda

truncate -s 8M "$PWD/files.raw"
machine mg-files "$(file_disk "$PWD/files.raw" vda)"
on_a start mg-files

# Snapshots go along where that is asked for, also those that are made later; killed between two of them or not.
guest=mg-one
expect 1 "snapshots inside of images go along only while the guest is off" ferry sync mg-files --connect "$VMFERRY_LAB_HOSTA" --pool mg-fast --snapshots --check --state-dir "$state"
rbd snap create --no-progress rbd/mg-one-vda@monday
cp flat.raw monday.raw
to_fast --overlay-dir "$PWD/overlays" -q --snapshots
for at in 30M 31M 32M 33M; do
  for part in 0 128 256 384 512 640 768 896; do
    written "$((${at%M} * 1024 + part))K" $((part / 128 + 1))
  done
done
guest_io "$VMFERRY_LAB_HOSTA" 0 "flush"
rbd snap create --no-progress rbd/mg-one-vda@tuesday
cp flat.raw tuesday.raw
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 12 34M 8M" # what a killed run still has to copy after tuesday
dd if=<(head -c 8M /dev/zero | tr '\0' '\014') of=flat.raw bs=1M seek=34 conv=notrunc status=none iflag=fullblock
in_background sync mg-one --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --rate-limit 512K
wait_for_step "copy what is new"
until_true 20 rbd_has_snapshot mg-fast/mg-one-vda tuesday
kill -KILL "$mover"
wait "$mover" 2>/dev/null || true
to_fast -q
[[ $(marks mg-fast/mg-one-vda) == "monday vmferry-sync-1 tuesday vmferry-sync-2 vmferry-sync-3" ]] || fail "the new volume has $(marks mg-fast/mg-one-vda)"
for day in monday tuesday; do
  rbd export --no-progress "mg-fast/mg-one-vda@$day" - | cmp - "$day.raw" || fail "$day is another"
done
rbd export --no-progress mg-fast/mg-one-vda@vmferry-sync-3 - | cmp - flat.raw

# Off in the end. The old volume stays, as it has snapshots.
written 2M 5
on_a destroy mg-one
until_true 60 is_unwatched rbd/mg-one-vda
cut_over --delete-source >said 2>&1 || fail "$(cat said)"
grep -q "mg-one-vda stays: it has the snapshot monday and 1 more" said || fail "$(cat said)"
[[ $(disks "$VMFERRY_LAB_HOSTA" --inactive) == "vda network mg-fast/mg-one-vda" ]] || fail "it is on $(disks "$VMFERRY_LAB_HOSTA" --inactive)"
[[ $(marks rbd/mg-one-vda) == "monday tuesday" && $(marks mg-fast/mg-one-vda) == "monday tuesday" ]] || fail "$(marks rbd/mg-one-vda); $(marks mg-fast/mg-one-vda)"
rbd export --no-progress mg-fast/mg-one-vda - | cmp - flat.raw || fail "the new volume is not what the disk was"
