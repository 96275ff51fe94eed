# SPDX-License-Identifier: LGPL-2.1-or-later
# Live, mirrored: QEMU copies the disks itself, to another host while it moves there, or on one host.
source "$ROOT/tests/lab/guest_helpers.sh"

# To the other host, from a fully allocated disk; the port for the disks never listens for all.
start mg-thick --disk thick
{
  while sleep 0.05; do ss -Hltn; done
} >listening &
watcher=$!
move --method mirror --to "$VMFERRY_LAB_HOSTB" --listen-address 127.0.0.1 --json >report.json
kill "$watcher"
arrived "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-thick
first=$(($(cat "$VMFERRY_LAB/port") + 48))
last=$((first + 15))
awk -v first=$first -v last=$last '{ n = split($4, at, ":"); if (at[n] >= first && at[n] <= last) print $4 }' listening | sort -u >ports
grep -q '^127\.0\.0\.1:' ports || fail "no port was seen at all: $(cat ports)"
! grep -v '^127\.0\.0\.1:' ports || fail "it listened for all: $(cat ports)"
python3 -c 'import json; report = json.load(open("report.json")); assert report["downtime_ms"] > 0 and report["disks"][0]["after"]["allocated_bytes"] <= '"$limit"', report'
# The zeros are looked for while it moves only: not at every write of the guest later.
[[ $(on_b dumpxml --inactive mg-thick) != *detect_zeroes* ]] || fail "detect_zeroes stays in the definition"
"$lab" guest down mg-thick

# With a backing file, a second disk and a cdrom.
start mg-chain --disk qcow2 --second-disk --cdrom
move -q --method mirror --to "$VMFERRY_LAB_HOSTB"
arrived "$VMFERRY_LAB_HOSTB"
on_rbd "$VMFERRY_LAB_HOSTB" vda vdb
[[ $("$lab" guest run mg-chain sh -c 'echo 1 >/proc/sys/vm/drop_caches; cd /mnt/second && sha256sum -c SHA256SUMS') == "random: OK" ]] || fail "the second disk is broken"
"$lab" guest run mg-chain cat /dev/sr0 | cmp - "$guests/mg-chain/cdrom.iso" || fail "the cdrom is another"
"$lab" guest down mg-chain

# On one host, from a fully allocated disk: thick while it is copied, thin afterwards.
start mg-here --disk thick
move -q --method mirror
arrived "$VMFERRY_LAB_HOSTA"
