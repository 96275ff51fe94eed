# SPDX-License-Identifier: LGPL-2.1-or-later
# A warm move from volumes to volumes of another pool, of a guest that writes all the time: by their snapshots, and the guest is touched for a moment at most.
source "$ROOT/tests/lab/sync_helpers.sh"
make_pool mg-fast

# to_fast [OPTION...]: a sync of $guest to the other pool.
to_fast() {
  ferry sync "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool mg-fast --id libvirt --secret-uuid "$secret" --state-dir "$state" "$@"
}
# marks VOLUME: its snapshots, on a line.
marks() {
  rbd snap ls --format json "$1" | python3 -c 'import json,sys; print(*[one["name"] for one in json.load(sys.stdin)])'
}
# synced_to_fast NUMBER DEV...: both volumes of each disk have the state of that sync; the guest is where it was, and nothing else is left.
synced_to_fast() {
  local dev number=$1
  shift
  [[ $(number_of_sync) == "$number" ]] || fail "sync $(number_of_sync) is the last one, not $number"
  no_journal
  for dev in "$@"; do
    [[ $(overlay_of "$dev") == "rbd/$guest-$dev" ]] || fail "$dev is on $(overlay_of "$dev")"
    [[ $(marks "rbd/$guest-$dev") == "vmferry-sync-$number" ]] || fail "the old volume has $(marks "rbd/$guest-$dev")"
    rbd export --no-progress "rbd/$guest-$dev@vmferry-sync-$number" - 2>/dev/null |
      cmp - <(rbd export --no-progress "mg-fast/$guest-$dev@vmferry-sync-$number" - 2>/dev/null) ||
      fail "the new volume of $dev is not what the old one was"
  done
  [[ -z $(find overlays -name '*vmferry*') ]] || fail "overlays are left"
}
# is_on POOL/VOLUME...: both definitions.
is_on() {
  local how
  for how in "" --inactive; do
    [[ $(disks "$VMFERRY_LAB_HOSTA" "$how" | awk '{print $3}' | paste -sd' ') == "$*" ]] || fail "not on $* ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
  done
}
mkdir overlays

# Two disks: they are of one moment.
start mg-wp --disk qcow2 --second-disk
"$lab" guest wait mg-wp
move -q --delete-source
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
to_fast --overlay-dir "$PWD/overlays" --json >report.json
synced_to_fast 1 vda vdb
for number in 2 3; do
  until_true 60 times_written $(($(grep -c '^wrote' "$log") + 2))
  to_fast --quiesce --json >report.json
  synced_to_fast "$number" vda vdb
  python3 - report.json <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
assert 0 < report["changed_bytes"] < 38 << 20, report  # a tenth of what the first one had
assert "overlay_room" not in report and "overlay" not in report["disks"][0], report
END
done
lives "$VMFERRY_LAB_HOSTA"
cut_over -q --delete-source 2>said || fail "$(cat said)"
is_on mg-fast/mg-wp-vda mg-fast/mg-wp-vdb
lives "$VMFERRY_LAB_HOSTA"
[[ -z $(marks mg-fast/mg-wp-vda) ]] || fail "snapshots are left: $(marks mg-fast/mg-wp-vda)"
! rbd ls rbd | grep mg-wp >/dev/null || fail "the old volumes are left: $(cat said)"
[[ ! -e $state/mg-wp.sync && -z $(ls overlays) ]] || fail "something of the move is left"

# One disk, with the bytes known: the guest never leaves its volume. What somebody does to the volumes in between is noticed.
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
expect 1 "has a snapshot vmferry-sync-1 already, which is of another warm move" to_fast --overlay-dir "$PWD/overlays"
rbd snap rm --no-progress rbd/mg-one-vda@vmferry-sync-1
on_a event mg-one --all --loop >events 2>&1 &
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
for step in "make the snapshot" "copy what is new" "keep it as a snapshot" "write down" "remove the snapshots"; do
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

# Off in the end.
to_fast --overlay-dir "$PWD/overlays" -q
written 2M 5
on_a destroy mg-one
until_true 60 is_unwatched rbd/mg-one-vda
cut_over -q --delete-source 2>said || fail "$(cat said)"
guest=mg-one
[[ $(disks "$VMFERRY_LAB_HOSTA" --inactive) == "vda network mg-fast/mg-one-vda" ]] || fail "it is on $(disks "$VMFERRY_LAB_HOSTA" --inactive)"
rbd export --no-progress mg-fast/mg-one-vda - | cmp - flat.raw || fail "the new volume is not what the disk was"
! rbd ls rbd | grep mg-one >/dev/null || fail "the old volume is left: $(cat said)"
