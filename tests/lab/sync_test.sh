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
expect 2 "does not go to pool" ferry sync mg-warm --pool other --state-dir "$state"

cut_over -q
arrived "$VMFERRY_LAB_HOSTA"
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
[[ -z $(find "$guests/mg-warm" -name '*vmferry*') ]] || fail "overlays are left: $(ls "$guests/mg-warm")"
[[ ! -e $state/mg-warm.sync ]] || fail "the state of the warm move is left"
[[ -z $(rbd snap ls rbd/mg-warm-vda) ]] || fail "snapshots are left: $(rbd snap ls rbd/mg-warm-vda)"
[[ -n $(find "$state" -name "mg-warm*record*") ]] || fail "there is no record of the move: $(ls "$state")"
expect 1 "in no warm move" cut_over
