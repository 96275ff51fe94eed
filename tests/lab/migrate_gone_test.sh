# SPDX-License-Identifier: LGPL-2.1-or-later
# A disk that is taken from the guest while it moves, and a snapshot that somebody else takes meanwhile.
source "$ROOT/tests/lab/guest_helpers.sh"

head -c 16M /dev/urandom >a.raw
head -c 4M /dev/urandom >b.raw

# started OPTION...: a staged move of a machine with two disks, in its copy. The second is one that can be unplugged without a system.
started() {
  machine mg-gone "$(file_disk "$work/a.raw" vda) <controller type='scsi' model='virtio-scsi'/>
    $(file_disk "$work/b.raw" sdb | sed "s/bus='virtio'/bus='scsi'/")"
  on_a start mg-gone >/dev/null
  move_in_background --rate-limit 6M "$@"
  wait_for_step "copy the frozen"
}

# It leaves the move, and what the guest wrote to it is where the message says.
started
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 0x22 1M 64k"
on_a detach-disk mg-gone sdb --live --config >/dev/null
ended 0 "disk sdb was taken from the machine meanwhile.*qemu-img commit"
on_rbd "$VMFERRY_LAB_HOSTA" vda
no_journal
[[ $(rbd ls | grep '^mg') == mg-gone-vda ]] || fail "volumes: $(rbd ls)"
overlay=$(grep -o "qemu-img commit [^\" ]*" steps | cut -d' ' -f3)
qemu-img commit -q "$overlay"
rm "$overlay"
[[ $(find . -name '*vmferry*') == "" ]] || fail "left: $(find . -name '*vmferry*')"
[[ $(guest_io "$VMFERRY_LAB_HOSTA" 0 "read -P 0x22 1M 64k") != *failed* ]] || fail "the guest's write is lost"
machines_down >/dev/null

# A backup tool's snapshot is not committed: the run stops, and goes on when it has ended.
started --disk vda=rbd:rbd/mg-gone-vda
on_a snapshot-create-as mg-gone backup --disk-only --no-metadata --diskspec "vda,file=$work/backup.qcow2" --diskspec "sdb,snapshot=no" >/dev/null
ended 1 "it is on $work/backup.qcow2 now, which this move did not make"
[[ $(disks "$VMFERRY_LAB_HOSTA" | head -n 1) == "vda file $work/backup.qcow2" ]] || fail "$(disks "$VMFERRY_LAB_HOSTA")"
on_a blockcommit mg-gone vda --shallow --active --pivot >/dev/null
"$VMFERRY" migrate --recover mg-gone --state-dir "$state" -q
[[ $(disks "$VMFERRY_LAB_HOSTA" | head -n 1) == "vda file $work/a.raw" ]] || fail "$(disks "$VMFERRY_LAB_HOSTA")"
no_journal
machines_down >/dev/null

# A disk that grows in the middle of its copy: all is undone, and the next run takes its new size.
started --disk vda=rbd:rbd/mg-gone-vda
on_a blockresize mg-gone vda 20M
ended 1 "its size was changed meanwhile, from 16.0 MiB to 20.0 MiB"
[[ $(disks "$VMFERRY_LAB_HOSTA" | head -n 1) == "vda file $work/a.raw" ]] || fail "$(disks "$VMFERRY_LAB_HOSTA")"
no_journal
move -q --disk vda=rbd:rbd/mg-gone-vda
[[ $(rbd info --format json rbd/mg-gone-vda | python3 -c 'import json, sys; print(json.load(sys.stdin)["size"])') == $((20 << 20)) ]] || fail "not 20 MiB"
machines_down >/dev/null

# A libvirtd that was killed in the middle of a block copy may leave the volume open in QEMU: the undo closes it.
machine mg-gone "$(file_disk "$work/a.raw" vda)"
on_a start mg-gone >/dev/null
move_in_background --rate-limit 2M --method mirror
wait_for_step "mirror the disks"
copies() {
  [[ $(on_a blockjob mg-gone vda 2>&1) == *"Block Copy"* ]] # it says so on standard error
}
until_true 30 copies
kill -KILL "$mover"
wait "$mover" 2>/dev/null || true
on_a blockjob mg-gone vda --abort
on_a qemu-monitor-command mg-gone '{"execute": "blockdev-add", "arguments": {"driver": "rbd", "node-name": "left", "pool": "rbd",
  "image": "mg-gone-vda", "conf": "'"$CEPH_CONF"'"}}' >/dev/null
SECONDS=0
"$VMFERRY" migrate --recover --undo mg-gone --state-dir "$state" -q
((SECONDS < 50)) || fail "the volume was open for $SECONDS s"
[[ -z $(rbd ls | grep '^mg' || true) ]] || fail "left: $(rbd ls)"
no_journal
