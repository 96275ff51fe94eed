# SPDX-License-Identifier: LGPL-2.1-or-later
# Warm moves that end on another host: live, offline, and killed while the guest leaves.
source "$ROOT/tests/lab/sync_helpers.sh"
away=(--to "$VMFERRY_LAB_HOSTB")

# A guest that writes all the time.
start mg-gone
"$lab" guest wait mg-gone
sync_guest -q
# What cannot be is said before anything is done.
expect 1 "name at the target: .*runs there already|same host" cut_over --to "$VMFERRY_LAB_HOSTA"
expect 1 "way to the target" cut_over "${away[@]}" --migration-uri tcp://no-such-host.invalid
expect 2 "name that host with --to" cut_over --tls
synced 1 vda
cut_over "${away[@]}" --json >report.json
arrived "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-gone
python3 - report.json "$guests/mg-gone/vda.raw" <<'END'
import json, sys
report, old = json.load(open(sys.argv[1])), sys.argv[2]
definition, = [name for name in report["kept"] if name.endswith(".xml")]
assert report["end"] == "moved" and sorted(report["kept"]) == sorted([old, definition]), report
assert report["downtime_ms"] is not None, report
assert f"file='{old}'" in open(definition).read() and "vmferry-sync" not in open(definition).read(), definition
END
[[ ! -e $state/mg-gone.sync ]] || fail "the state of the warm move is left"
[[ -z $(rbd snap ls rbd/mg-gone-vda) ]] || fail "snapshots are left"
"$lab" guest down mg-gone

# small NAME: a running machine without a system, and a first sync of it. What its disk is to hold is in expected.raw.
small() {
  mkdir "$guests/$1"
  truncate -s 64M "$guests/$1/vda.raw" "$work/expected.raw"
  machine "$1" "$(file_disk "$guests/$1/vda.raw" vda)"
  on_a start "$1"
  put 5 1M
  sync_guest -q
  put 6 9M
}
# put PATTERN PLACE: written by the guest.
put() {
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $1 $2 1M" >/dev/null
  qemu-io -f raw -c "write -q -P $1 $2 1M" expected.raw
}
# whole_at HOST: it is on its volume there, which holds what it wrote, and its warm move is over.
whole_at() {
  on_rbd "$1" vda
  rbd export --no-progress "rbd/$guest-vda" - | cmp - expected.raw || fail "the volume is not what the guest wrote"
  no_journal
  [[ ! -e $state/$guest.sync ]] || fail "the state of the warm move is left"
  [[ -z $(rbd snap ls "rbd/$guest-vda") ]] || fail "snapshots are left"
}

small mg-off
cut_over "${away[@]}" --offline --force-off --shutdown-timeout 1 -q
[[ $(on_b domstate mg-off) == running ]] || fail "it does not run there"
whole_at "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-off
# The definition that is kept would start it as it was: the overlay has what came after the last sync.
old=$guests/mg-off/mg-off-vda.vmferry-sync-2.qcow2
grep -F "file='$old'" "$state"/mg-off*.xml >/dev/null || fail "the kept definition does not name $old"
qemu-img convert -U -O raw "$old" old.raw
cmp old.raw expected.raw || fail "the old disk is not as it was"
rm old.raw

# leaving: QEMU sends the guest.
leaving() {
  on_a domjobinfo "$guest" 2>/dev/null | grep 'Operation: *Outgoing migration' >/dev/null
}
# die_leaving: killed while the guest leaves, which takes some seconds.
die_leaving() {
  in_background cutover "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" "${away[@]}" --rate-limit 1M
  wait_for_step "migrate the guest to"
  until_true 20 leaving
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
}

small mg-dead
die_leaving
expect 1 "cutover --recover mg-dead" cut_over "${away[@]}"
ferry cutover --recover mg-dead --state-dir "$state" -q
[[ $(on_b domstate mg-dead) == running ]] || fail "it does not run there"
whole_at "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-dead

small mg-stays
die_leaving
expect 1 "--recover --stay mg-stays" ferry cutover --recover --undo mg-stays --state-dir "$state"
ferry cutover --recover --stay mg-stays --state-dir "$state" -q
[[ $(on_a domstate mg-stays) == running ]] || fail "it does not run here"
whole_at "$VMFERRY_LAB_HOSTA"
expect 1 "failed to get domain" on_b domstate mg-stays

# libvirt moves a guest that has its disks on RBD, as vmferry says.
move --to "$VMFERRY_LAB_HOSTB" >said 2>&1 && fail "a guest on RBD moved"
command=$(grep -o 'virsh -c .* migrate .*' said) || fail "no command: $(cat said)"
bash -c "$command" || fail "it does not work: $command"
whole_at "$VMFERRY_LAB_HOSTB"
