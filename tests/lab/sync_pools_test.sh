# SPDX-License-Identifier: LGPL-2.1-or-later
# A warm move from volumes to volumes of another pool, of a guest with two disks that writes all the time. They are of one moment.
source "$ROOT/tests/lab/sync_pools_helpers.sh"

start mg-wp --disk qcow2 --second-disk
"$lab" guest wait mg-wp
move -q --delete-source
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
to_fast --overlay-dir "$PWD/overlays" --json >report.json
synced_to_fast 1 vda vdb
python3 -c 'import json; report = json.load(open("report.json")); assert 0.2 < report["seconds"] < 300, report'
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
