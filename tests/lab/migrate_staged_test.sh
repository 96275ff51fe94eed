# SPDX-License-Identifier: LGPL-2.1-or-later
# Live, staged: the frozen images go to Ceph by our copier, QEMU moves only what the guest wrote meanwhile.
source "$ROOT/tests/lab/guest_helpers.sh"

# A fully allocated raw disk, on one host. The old image stays, and is what the volume was when it was frozen.
start mg-thick --disk thick
on_a autostart mg-thick
move --quiesce --json >report.json
arrived "$VMFERRY_LAB_HOSTA"
[[ -f $guests/mg-thick/vda.raw ]] || fail "the old image is gone"
on_a dominfo mg-thick | grep 'Autostart:.*enable' >/dev/null || fail "autostart is lost"
python3 - "$limit" report.json "$guests/mg-thick/vda.raw" <<'END'
import json, sys
limit, report, old = int(sys.argv[1]), json.load(open(sys.argv[2])), sys.argv[3]
disk, = report["disks"]
assert disk["disk"] == "vda" and disk["to"] == "rbd:rbd/mg-thick-vda", disk
assert disk["before"]["virtual_bytes"] == disk["after"]["virtual_bytes"] == 4 << 30, disk
assert disk["before"]["allocated_bytes"] >= (4 << 30) - (64 << 20) and disk["after"]["allocated_bytes"] <= limit, disk
assert report["kept"] == [old] and report["end"] == "moved", report
END
"$lab" guest down mg-thick

# Two disks and a cdrom, the first with a backing file. The cdrom stays where it is.
start mg-chain --disk qcow2 --second-disk --cdrom
cp "$guests/mg-chain/vdb.raw" second.raw
move -q
arrived "$VMFERRY_LAB_HOSTA"
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
disks "$VMFERRY_LAB_HOSTA" --inactive | grep -x "hda file $guests/mg-chain/cdrom.iso" >/dev/null || fail "the cdrom moved"
"$lab" guest run mg-chain cat /dev/sr0 | cmp - "$guests/mg-chain/cdrom.iso" || fail "the cdrom is another"
[[ $("$lab" guest run mg-chain sh -c 'echo 1 >/proc/sys/vm/drop_caches; cd /mnt/second && sha256sum -c SHA256SUMS') == "random: OK" ]] || fail "the second disk is broken"
clean mg-chain-vdb 0 "$VMFERRY_LAB_HOSTA"
(($(volume_used mg-chain-vdb) <= 64 << 20)) || fail "the second disk is not thin"
"$lab" guest down mg-chain

# To the other host: the definition at the source goes, its XML is kept.
start mg-away
cp --sparse=always "$guests/mg-away/vda.raw" before.raw
on_a autostart mg-away
move -q --to "$VMFERRY_LAB_HOSTB"
arrived "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-away
on_b dominfo mg-away | grep 'Autostart:.*enable' >/dev/null || fail "autostart is lost"
[[ $(find "$state" -name 'mg-away*.xml' | wc -l) -ge 1 ]] || fail "the old definition is not kept: $(ls "$state")"
"$lab" guest down mg-away

# One disk of two, and nobody writes to it: the volume is what the image was, byte for byte.
start mg-two --second-disk
"$lab" guest run mg-two sh -c 'umount /mnt/second; sync'
move -q --disk vdb=rbd:rbd/mg-only-second
for how in "" --inactive; do
  [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "vda file $guests/mg-two/vda.raw"$'\n'"vdb network rbd/mg-only-second" ]] ||
    fail "the definition (${how:-live}) says: $(disks "$VMFERRY_LAB_HOSTA" "$how")"
done
lives "$VMFERRY_LAB_HOSTA"
rbd export --no-progress rbd/mg-only-second - | cmp - "$guests/mg-two/vdb.raw" || fail "the volume is not what the image was"
