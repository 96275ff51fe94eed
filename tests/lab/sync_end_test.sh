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

sync_guest -q
cut_over --offline --json >report.json
arrived "$VMFERRY_LAB_HOSTA"
python3 - report.json "$guests/mg-coff" <<'END'
import json, sys
report, place = json.load(open(sys.argv[1])), sys.argv[2]
assert report["end"] == "moved", report
assert f"{place}/vda.raw" in report["kept"] and f"{place}/mg-coff-vda.vmferry-sync-2.qcow2" in report["kept"], report
END
[[ -z $(rbd snap ls rbd/mg-coff-vda) ]] || fail "snapshots are left"

# A guest is stopped by its owner between two syncs, and started again: both times it had written. It has no system to boot.
mkdir "$guests/mg-stopped"
truncate -s 64M "$guests/mg-stopped/vda.raw"
machine mg-stopped "$(file_disk "$guests/mg-stopped/vda.raw" vda)"
on_a start mg-stopped
sync_guest -q
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 1M 128k"
on_a destroy mg-stopped
expect 1 "is shut off, and a sync is of one that runs" sync_guest
on_a start mg-stopped
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 8 2M 128k"
sync_guest -q
synced 2 vda
rbd export --no-progress rbd/mg-stopped-vda@vmferry-sync-2 out.raw
for written in "7 1M" "8 2M"; do
  qemu-io -r -f raw -c "read -q -P ${written% *} ${written#* } 128k" out.raw
done

# What is below an image is in its header alone: libvirt tells of it while the guest runs, and not afterwards.
mkdir "$guests/mg-below"
truncate -s 64M "$guests/mg-below/base.raw"
qemu-io -f raw -c "write -q -P 3 4M 128k" "$guests/mg-below/base.raw"
qemu-img create -q -f qcow2 -b base.raw -F raw "$guests/mg-below/vda.qcow2"
machine mg-below "$(file_disk "$guests/mg-below/vda.qcow2" vda "type='qcow2'")"
on_a start mg-below
sync_guest -q
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 1M 128k"
on_a destroy mg-below
cut_over --check >said || fail "it could not be cut over: $(cat said)"
cut_over -q
on_rbd "$VMFERRY_LAB_HOSTA" vda
rbd export --no-progress rbd/mg-below-vda below.raw
for written in "7 1M" "3 4M"; do
  qemu-io -r -f raw -c "read -q -P ${written% *} ${written#* } 128k" below.raw
done
