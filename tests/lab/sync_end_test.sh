# SPDX-License-Identifier: LGPL-2.1-or-later
# How warm moves end: given up, or with the guest off.
source "$ROOT/tests/lab/sync_helpers.sh"

start mg-coff
"$lab" guest wait mg-coff
before=$(picture)
sync_guest -q
sync_guest -q
synced 2 vda
ferry sync --stop "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --remove-volumes -q
untouched "$before"
[[ ! -e $state/mg-coff.sync ]] || fail "the state of the warm move is left"

# The guest is stopped by its owner in between; it is started by him, and synchronised.
sync_guest -q
on_a destroy "$guest"
expect 1 "is shut off, and a sync is of one that runs" sync_guest
on_a start "$guest"
"$lab" guest wait mg-coff
sync_guest -q
synced 2 vda
cut_over --offline --json >report.json
arrived "$VMFERRY_LAB_HOSTA"
python3 - report.json "$guests/mg-coff" <<'END'
import json, sys
report, place = json.load(open(sys.argv[1])), sys.argv[2]
assert report["end"] == "moved", report
assert f"{place}/vda.raw" in report["kept"] and f"{place}/mg-coff-vda.vmferry-sync-3.qcow2" in report["kept"], report
END
[[ -z $(rbd snap ls rbd/mg-coff-vda) ]] || fail "snapshots are left"
