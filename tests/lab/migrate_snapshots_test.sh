# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Snapshots inside of a guest's images become snapshots of its volumes, and the guest starts on each of them.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish clear_guests' EXIT
machines_down >/dev/null
rm -rf -- "$state"

qemu-img create -q -f qcow2 disk.qcow2 64M
for name in one two/2; do
  qemu-io -f qcow2 -c "write -q -P ${#name} 1M 3M" disk.qcow2
  qemu-img snapshot -c "$name" disk.qcow2
done
qemu-io -f qcow2 -c 'write -q -P 9 2M 64k' disk.qcow2
machine mg-snap "$(file_disk "$work/disk.qcow2" vda "type='qcow2'")"

# Without the option they stay behind, and that is said; a running guest's are refused before anything is done.
expect 0 "the image holds 2 snapshots" move --check
on_a start mg-snap >/dev/null
expect 1 "they are copied while the guest is shut off only" move --snapshots --check --mode live
on_a destroy mg-snap >/dev/null

# What libvirt knows of a snapshot is in the way, with the commands that help.
on_a snapshot-create-as mg-snap known >/dev/null
expect 1 "virsh snapshot-delete --metadata" move --snapshots --check
on_a snapshot-delete mg-snap known --metadata >/dev/null

# killed_in CALL: a run that is killed there.
killed_in() {
  rm -f log
  VMFERRY_FAULT="$1:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$(dirname -- "$VMFERRY")/libvmferry-faults.so \
    move_in_background --snapshots
  until_true 30 grep -q hold log
  kill -KILL "$mover"
  wait "$mover" || true
}

# The volume is complete and has its name: it is taken back with its snapshots.
killed_in rbd_metadata_remove:1
[[ $(rbd ls | grep mg-snap) == mg-snap-vda ]] || fail "not published: $(rbd ls)"
ferry migrate mg-snap --recover --undo --state-dir "$state"
! rbd ls | grep mg-snap || fail "left after the undoing: $(rbd ls)"

# A run that was killed between the states is gone on with.
killed_in rbd_snap_create:2
expect 0 "with its snapshots: one, two_2, known" ferry migrate mg-snap --recover --finish --state-dir "$state"
for state_of in one two/2 known; do
  qemu-img convert -O raw -l "snapshot.name=$state_of" disk.qcow2 want.raw
  rbd export --no-progress "rbd/mg-snap-vda@${state_of//\//_}" - | cmp - want.raw || fail "not what $state_of was"
done
qemu-img convert -O raw disk.qcow2 want.raw
rbd export --no-progress rbd/mg-snap-vda - | cmp - want.raw || fail "not the guest's disk"

# Back to one of them.
rbd snap rollback --no-progress rbd/mg-snap-vda@one
on_a start mg-snap >/dev/null
on_a destroy mg-snap >/dev/null
