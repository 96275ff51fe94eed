# SPDX-License-Identifier: LGPL-2.1-or-later
# Offline: a domain that is shut off, or that is shut down for it; and the way back from RBD to files.
source "$ROOT/tests/lab/guest_helpers.sh"

# Shut off: copied, defined, and not started.
start mg-off --disk qcow2
on_a destroy mg-off
move -q
[[ $(on_a domstate mg-off) == "shut off" ]] || fail "it was started"
on_rbd "$VMFERRY_LAB_HOSTA" vda
qemu-img convert -O raw "$guests/mg-off/vda.qcow2" flat.raw
rbd export --no-progress rbd/mg-off-vda - | cmp - flat.raw || fail "the volume is not what the image is"
thin mg-off-vda
no_journal

# Back, offline, to a sparse file.
mkdir back
expect 0 "" ferry migrate mg-off --connect "$VMFERRY_LAB_HOSTA" --to-dir "$PWD/back" --state-dir "$state" -q
[[ $(disks "$VMFERRY_LAB_HOSTA" --inactive) == "vda file $PWD/back/"* ]] || fail "not back: $(disks "$VMFERRY_LAB_HOSTA" --inactive)"
file=$(disks "$VMFERRY_LAB_HOSTA" --inactive | sed 's/^vda file //')
same "$file" flat.raw
(($(allocated "$file") <= limit)) || fail "the file is not sparse: $(allocated "$file")"
"$lab" guest down mg-off

# Running: shut down by its own will, moved to the other host, and started there.
start mg-down
move -q --mode offline --to "$VMFERRY_LAB_HOSTB"
arrived "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-down
"$lab" guest down mg-down

# Back, live: the guest never stops.
start mg-back
move -q
arrived "$VMFERRY_LAB_HOSTA"
mkdir live
ferry migrate mg-back --connect "$VMFERRY_LAB_HOSTA" --to-dir "$PWD/live" --state-dir "$state" -q
for how in "" --inactive; do
  [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "vda file $PWD/live/"* ]] || fail "not back ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
done
lives "$VMFERRY_LAB_HOSTA"
files_whole
file=$(disks "$VMFERRY_LAB_HOSTA" | sed 's/^vda file //')
(($(allocated "$file") <= limit)) || fail "the file is not sparse: $(allocated "$file")"
no_journal
