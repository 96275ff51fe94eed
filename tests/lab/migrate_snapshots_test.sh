# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Snapshots inside of a guest's images, and layers below them, become snapshots of its volumes; what libvirt knows of them is saved, and
# comes back when the move is undone.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish clear_guests' EXIT
machines_down >/dev/null
rm -rf -- "$state"

# known DIR: what libvirt knows of the guest's snapshots, one file each.
known() {
  local name
  mkdir "$1"
  for name in $(on_a snapshot-list "$guest" --name); do
    on_a snapshot-dumpxml "$guest" "$name" --security-info >"$1/$name"
  done
  on_a snapshot-current "$guest" --name >"$1/..current" || echo none >"$1/..current"
}

# killed_in CALL [OPTION...]: a run that is killed there.
killed_in() {
  rm -f log
  VMFERRY_FAULT="$1:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$(dirname -- "$VMFERRY")/libvmferry-faults.so \
    move_in_background "${@:2}"
  until_true 30 grep -q hold log
  kill -KILL "$mover"
  wait "$mover" || true
}

# undone AS: all is as it was: nothing is left, and libvirt knows what is in the directory AS.
undone() {
  ferry migrate "$guest" --recover --undo --state-dir "$state" >/dev/null
  rm -rf after
  known after
  diff -r "$1" after || fail "libvirt knows something else"
  [[ -z $(find "$state" -name "$guest*" ! -name '*.log') ]] || fail "left: $(ls "$state")"
  ! rbd ls | grep "$guest" || fail "left after the undoing: $(rbd ls)"
}

# A tree, after a return to its root; one has memory of the machine, and one libvirt does not know.
qemu-img create -q -f qcow2 disk.qcow2 64M
machine mg-snap "$(file_disk "$work/disk.qcow2" vda "type='qcow2'")"
qemu-io -f qcow2 -c "write -q -P 3 1M 3M" disk.qcow2
on_a snapshot-create-as mg-snap root "it began here" >/dev/null
qemu-img snapshot -c two/2 disk.qcow2
on_a start mg-snap >/dev/null
expect 1 "which move only while it is shut off" move --snapshots --check --mode live
on_a snapshot-create-as mg-snap running >/dev/null
on_a destroy mg-snap >/dev/null
on_a snapshot-create-as mg-snap leaf >/dev/null
on_a snapshot-revert mg-snap root >/dev/null
qemu-io -f qcow2 -c 'write -q -P 9 2M 64k' disk.qcow2
on_a snapshot-create-as mg-snap branch >/dev/null
qemu-io -f qcow2 -c 'write -q -P 10 3M 64k' disk.qcow2
known before
[[ $(<before/..current) == branch ]] || fail "$(<before/..current)"

# Without the option it is said what would be lost.
expect 1 "--mode offline with --snapshots" move --check
expect 0 "snapshot running: the machine's memory in it is lost" move --snapshots --check

# Killed between the states of the disk, and when all but the end of the journal is done: libvirt knows the whole tree again.
for call in rbd_snap_create:2 unlink:1; do
  killed_in $call --snapshots
  undone before
done

# A run that was killed between the states is gone on with.
killed_in rbd_snap_create:2 --snapshots
expect 0 "with its snapshots: root, two_2, running, leaf, branch" ferry migrate mg-snap --recover --finish --state-dir "$state"
for state_of in root two/2 running leaf branch; do
  qemu-img convert -O raw -l "snapshot.name=$state_of" disk.qcow2 want.raw
  rbd export --no-progress "rbd/mg-snap-vda@${state_of//\//_}" - | cmp - want.raw || fail "not what $state_of was"
done
qemu-img convert -O raw disk.qcow2 want.raw
rbd export --no-progress rbd/mg-snap-vda - | cmp - want.raw || fail "not the guest's disk"
[[ $(on_a snapshot-list mg-snap --name) == "" ]] || fail "libvirt still knows $(on_a snapshot-list mg-snap --name)"
for name in root running leaf branch; do
  cmp "before/$name" "$state/mg-snap-snapshot-$name.xml"
  [[ $(stat -c %a "$state/mg-snap-snapshot-$name.xml") == 600 ]] || fail "others may read it"
done

# Back to one of them.
rbd snap rollback --no-progress rbd/mg-snap-vda@root
on_a start mg-snap >/dev/null
on_a destroy mg-snap >/dev/null

# ---- External snapshots: the layers that they left.
rm -r before
truncate -s 40M base.raw
qemu-io -f raw -c "write -q -P 1 0 4M" base.raw
machine mg-chain "$(file_disk "$work/base.raw" vda)"
for name in first second; do
  on_a snapshot-create-as mg-chain $name --disk-only --diskspec "vda,file=$work/$name.qcow2" >/dev/null
  qemu-io -f qcow2 -c "write -q -P ${#name} ${#name}M 64k" $name.qcow2
done
known before
expect 1 "that of vda is $work/base.raw, not inside of its image" move --snapshots --check
killed_in unlink:1 --chain-as-snapshots
undone before
expect 0 "with its snapshots: first, second;" move --chain-as-snapshots
rbd export --no-progress rbd/mg-chain-vda@first - | cmp - base.raw || fail "not what first was"
for layer in first second; do
  qemu-img convert -O raw $layer.qcow2 want.raw
  volume=$([[ $layer == first ]] && echo rbd/mg-chain-vda@second || echo rbd/mg-chain-vda)
  rbd export --no-progress "$volume" - | cmp - want.raw || fail "not what lies over $layer"
done
cmp before/second "$state/mg-chain-snapshot-second.xml"
