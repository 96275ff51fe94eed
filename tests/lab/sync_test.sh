# SPDX-License-Identifier: LGPL-2.1-or-later
# A warm move: three syncs of a guest that writes all the time, and a cutover. One disk is qcow2 with a backing file, one raw.
source "$ROOT/tests/lab/sync_helpers.sh"

start mg-warm --disk qcow2 --second-disk
"$lab" guest wait mg-warm
sync_guest --quiesce -q
synced 1 vda vdb
for number in 2 3; do
  until_true 60 times_written $(($(grep -c '^wrote' "$log") + 2))
  sync_guest --json >report.json
  synced "$number" vda vdb
  python3 - "$number" report.json <<'END'
import json, sys
report = json.load(open(sys.argv[2]))
assert report["end"] == "synced" and report["sync"] == int(sys.argv[1]), report
assert 0 < report["changed_bytes"] < 38 << 20, report  # a tenth of what the first one had
assert report["expected"]["cutover_seconds"] > 0 and report["overlay_room"] > 0, report
END
done
lives "$VMFERRY_LAB_HOSTA"

# What somebody writes to a volume is seen, and written over.
qemu-io -f raw -c "write -P 9 100M 64k" -c "write -P 9 3G 64k" rbd:rbd/mg-warm-vda >/dev/null
expect 1 "written to since its snapshot vmferry-sync-3" cut_over --check
sync_guest -q
synced 4 vda vdb

# No other command moves it.
expect 1 "vmferry cutover mg-warm" move
for other in --pool=other --object-size=8M --snapshots --disk=vda=rbd:rbd/other --name-template='{dev}' --data-pool=no --to-id=foo; do
  expect 2 "${other%%=*}.* is not what the warm move began with" ferry sync mg-warm "$other" --state-dir "$state"
done

# One that would take too long begins nothing, and one for later waits, and is stopped like anything.
expect 1 "it would take about .* s after its last sync" cut_over --max-downtime 1
expect 2 "is over" cut_over --at "2020-01-01 02:00"
expect 130 "" timeout --preserve-status -s INT 5 "$VMFERRY" cutover mg-warm --at "$(date -d '+1 hour' '+%F %T')" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state"
synced 4 vda vdb
lives "$VMFERRY_LAB_HOSTA"

at=$(date -d '+3 seconds' '+%s')
cut_over -q --at "$(date -d "@$at" '+%F %T')" --max-downtime 600 --delete-source 2>said || fail "$(cat said)"
(($(date +%s) >= at)) || fail "a cutover began before its time"
[[ ! -e $guests/mg-warm/vdb.raw ]] || fail "the old image is left: $(cat said)"
arrived "$VMFERRY_LAB_HOSTA"
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
[[ -z $(find "$guests/mg-warm" -name '*vmferry*') ]] || fail "overlays are left: $(ls "$guests/mg-warm")"
[[ ! -e $state/mg-warm.sync ]] || fail "the state of the warm move is left"
[[ -z $(rbd snap ls rbd/mg-warm-vda) ]] || fail "snapshots are left: $(rbd snap ls rbd/mg-warm-vda)"
[[ -n $(find "$state" -name "mg-warm*record*") ]] || fail "there is no record of the move: $(ls "$state")"
expect 1 "in no warm move" cut_over
