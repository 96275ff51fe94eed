# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the switch of a disk, which libvirt goes on with, and which waits for Ceph: the recovery waits for it as well, and
# finishes the move.
source "$ROOT/tests/lab/guest_helpers.sh"

osd=$(cat "$VMFERRY_LAB/osd.pid")
head -c 16M /dev/urandom >"$work/late.raw"
machine mg-late "$(file_disk "$work/late.raw" vda)"
on_a start mg-late >/dev/null
move_in_background --method mirror --rate-limit 8M
wait_for_step "mirror the disks"
is_at() {
  on_a blockjob mg-late vda --info 2>&1 | grep "$1"
}
until_true 20 is_at "%"
kill -KILL "$mover"
wait "$mover" || true
until_true 20 is_at "100 %"

# What the dead run would have asked next, by another who dies of it.
kill -STOP "$osd"
guest_io "$VMFERRY_LAB_HOSTA" 0 "aio_write 0 64k" # or there is nothing to wait for
virsh -q -c "$VMFERRY_LAB_HOSTA" blockjob mg-late vda --pivot &
pivot=$!
sleep 1
kill -KILL "$pivot"
wait "$pivot" || true
(
  sleep 4
  kill -CONT "$osd"
) &
ferry migrate mg-late --recover --state-dir "$state" -q
wait
on_rbd "$VMFERRY_LAB_HOSTA" vda
no_journal
