# SPDX-License-Identifier: LGPL-2.1-or-later
# What goes wrong around the syncs of a warm move: its directory of overlays is full, the cluster does not answer, libvirtd is killed,
# and the guest is destroyed. It goes on, or it is said what is to be done; and no byte of it is lost.
source "$ROOT/tests/lab/sync_helpers.sh"
trap 'finish tidy' EXIT

tidy() {
  clear_guests
  nsenter -t "$(cat "$VMFERRY_LAB/hosta.pid")" -m umount "$work/small"
  umount "$work/small"
  losetup -d "$loop"
}

# The hosts have mounts of their own, so the same device is mounted twice.
mkdir small
truncate -s 320M small.img
mke2fs -q -t ext4 -O ^has_journal small.img
loop=$(losetup --find --show small.img)
mount "$loop" small
nsenter -t "$(cat "$VMFERRY_LAB/hosta.pid")" -m mount "$loop" "$work/small"

# A guest writes until there is no room: QEMU pauses it.
start mg-full
sync_guest --overlay-dir "$work/small" -q
timeout 8 "$lab" guest run mg-full sh -c '(dd if=/dev/zero of=/root/big bs=1M count=500; sync; rm /root/big) >/dev/null 2>&1 &' || true
is_stopped() {
  [[ $(on_a domstate --reason mg-full) == *"I/O error"* ]]
}
until_true 90 is_stopped
overlay=$(overlay_of vda)
expect 1 "hint: make room where its disks are, then let it go on: virsh resume mg-full" sync_guest
expect 1 "FAILED +overlay of vda: .* free in $work/small, of which 256.0 MiB are kept for the host" sync_guest
[[ $(overlay_of vda) == "$overlay" ]] || fail "it is on $(overlay_of vda), not on $overlay"
no_journal
expect 0 "virsh resume mg-full" ferry sync --stop mg-full --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --remove-volumes
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $guests/mg-full/vda.raw" ]] || fail "it is on $(disks "$VMFERRY_LAB_HOSTA")"
on_a resume mg-full
lives "$VMFERRY_LAB_HOSTA"
files_whole
"$lab" guest down mg-full

# The rest is of one without a system. write_next: it writes, a byte that is another each time, at another place.
mkdir "$guests/mg-odd"
truncate -s 64M "$guests/mg-odd/vda.raw"
machine mg-odd "$(file_disk "$guests/mg-odd/vda.raw" vda)"
on_a start mg-odd
count=0
write_next() {
  count=$((count + 1))
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $count ${count}M 512k" >/dev/null
}
# holds_all: the last sync has all of it.
holds_all() {
  synced "$1" vda
  rbd export --no-progress "rbd/mg-odd-vda@vmferry-sync-$1" - >out.raw
  for ((i = 1; i <= count; i++)); do
    qemu-io -r -f raw -c "read -q -P $i ${i}M 512k" out.raw
  done
}
restart_libvirtd() {
  kill -KILL "$(cat "$VMFERRY_LAB/hosta.pid")"
  "$lab" up >/dev/null
}
write_next
sync_guest -q

# held_in CALL: a sync waits in its first CALL of librbd, until there is a file "go".
held_in() {
  rm -f go log
  VMFERRY_FAULT="$1:1:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$(dirname -- "$VMFERRY")/libvmferry-faults.so \
    in_background sync mg-odd --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state"
  until_true 30 grep -q hold log
}

# The cluster stands still inside of a rung: it waits, and goes on.
write_next
held_in rbd_aio_write
osd=$(cat "$VMFERRY_LAB/osd.pid")
kill -STOP "$osd"
touch go
sleep "$([[ ${VMFERRY_LONG-ON} == ON ]] && echo 60 || echo 5)"
kill -0 "$mover" || fail "it did not wait: $(cat steps)"
write_next # what is not in this sync has to be in the next
kill -CONT "$osd"
ended 0 "copy what was written"
sync_guest -q
holds_all 3

# libvirtd is killed between two syncs, and inside of one.
write_next
restart_libvirtd
sync_guest -q
holds_all 4
write_next
held_in rbd_snap_create
restart_libvirtd
touch go
wait "$mover" || true # it may have met nobody
sync_guest -q
holds_all "$(number_of_sync)"

# The guest is destroyed and started between two: it writes to the same overlay.
write_next
guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
on_a destroy mg-odd
on_a start mg-odd
write_next
sync_guest -q
holds_all "$(number_of_sync)"

# It is reset between two, and inside of one.
write_next
on_a reset mg-odd
sync_guest -q
write_next
held_in rbd_aio_write
on_a reset mg-odd
write_next
touch go
ended 0 "copy what was written"
sync_guest -q
holds_all "$(number_of_sync)"

# It is destroyed inside of one, which ends without it.
write_next
guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
held_in rbd_aio_write
on_a destroy mg-odd
touch go
ended 0 "commit what was copied"
holds_all "$(number_of_sync)"
on_a start mg-odd
write_next
sync_guest -q
holds_all "$(number_of_sync)"
