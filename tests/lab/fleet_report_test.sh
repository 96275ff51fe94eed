# SPDX-License-Identifier: LGPL-2.1-or-later
# What is left of a fleet: its report, and its old disks, which go once their guests run on the new ones. Then all volumes of the
# pool are sparsified by a fleet.
source "$ROOT/tests/lab/guest_helpers.sh"
secret=$("$lab" secret)
name=report-$$
undo_all() {
  clear_guests
  for fleet in "$name" "$name-s" "$name-r"; do
    rados -p rbd -N vmferry rm "fleet.$fleet" 2>/dev/null
    rados -p rbd -N vmferry rmomapkey fleets "$fleet" 2>/dev/null
  done
}
trap 'finish undo_all' EXIT

here=$VMFERRY_LAB_HOSTA
dd if=/dev/urandom of=runs.img bs=1M count=3 status=none
truncate -s 32M runs.img
cp runs.img off.img
qemu-img create -q -f qcow2 base.qcow2 32M
qemu-img create -q -f qcow2 -b "$work/base.qcow2" -F qcow2 over.qcow2
machine mg-runs "$(file_disk "$work/runs.img" vda)$(file_disk "$work/over.qcow2" vdb "type='qcow2'")"
machine mg-off "$(file_disk "$work/off.img" vda)"
virsh -q -c "$here" start mg-runs
ferry fleet plan --connect "$here" --pool rbd --id libvirt --secret-uuid "$secret" --bandwidth 200M -o plan.toml
ferry fleet submit plan.toml --name "$name"
expect 0 "0 of 2 guests are done" ferry fleet report "$name" -o early.html
grep -q 'Not finished' early.html || fail "an early report does not say so"
ferry fleet work --name "$name" --once --connect "$here" --state-dir "$work/state"

# told FILE EXPRESSION
told() {
  python3 -c '
import json, sys
report = json.load(open(sys.argv[1]))
guests = {guest["guest"]: guest for guest in report["guests"]}
print(eval(sys.argv[2]))' "$@"
}
ferry fleet report "$name" -o report.json
[[ $(told report.json 'report["finished"], report["totals"]["done"], report["totals"]["old_left"]') == "(True, 2, 3)" ]] || fail "$(cat report.json)"
[[ $(told report.json '[(d["disk"], d["from"], d["to"], d["old"]) for d in guests["mg-off"]["disks"]]') == "[('vda', '$work/off.img', 'rbd:rbd/mg-off-vda', 'left')]" ]] || fail "$(cat report.json)"
expect 0 "the image has this digest" ferry compare --digest "$(told report.json 'guests["mg-off"]["disks"][0]["copied_digest"]')" "$work/off.img"
expect 2 "neither .html nor .json" ferry fleet report "$name" -o report.txt
expect 1 "the file exists" ferry fleet report "$name" -o report.json

# clean WORDS...: as an administrator of that host types it.
clean() {
  ferry fleet clean "$name" --connect "$here" --state-dir "$work/state" "$@"
}
expect 0 "mg-runs vda: $work/runs.img: too early: its guest moved .* ago" clean mg-runs
expect 1 "mg-off vda: $work/off.img: stays: its guest does not run on hosta" clean --older-than 0s
expect 0 "nothing is removed without --yes" clean mg-runs --older-than 0s </dev/null
[[ -e runs.img ]] || fail "removed without --yes"
expect 0 "3 are left on hosta" ferry fleet clean "$name" --connect "$VMFERRY_LAB_HOSTB" --yes --older-than 0s
expect 1 "no such guest" clean nobody

# Whoever has it open, or is based on it, keeps it.
exec 5<runs.img
expect 1 "another process, or a loop device, has it open" clean mg-runs --older-than 0s --yes
exec 5<&-
[[ -e runs.img && ! -e over.qcow2 && -e base.qcow2 ]] || fail "not as expected: $(ls)"
machine mg-other "$(file_disk "$work/runs.img" vda)"
expect 1 "domain mg-other needs it for vda" clean mg-runs --older-than 0s --yes
virsh -q -c "$here" undefine mg-other
touch runs.img
expect 1 "it was written to since the move" clean mg-runs --older-than 0s --yes
rm runs.img
expect 0 "is gone already" clean mg-runs --older-than 0s --yes
virsh -q -c "$here" start mg-off
expect 0 "1 removed" clean --older-than 0s --yes
[[ ! -e off.img ]] || fail "it was not removed"
ferry fleet report "$name" -o report.json --force
[[ $(told report.json '[d["old"] for g in ("mg-runs", "mg-off") for d in guests[g]["disks"]], report["totals"]["old_left"]') == "(['gone', 'removed', 'removed'], 0)" ]] || fail "$(cat report.json)"

# A volume that is a copy already, and is one no more, and again.
head -c 4M /dev/urandom >copied.img
ferry convert -q copied.img rbd:rbd/mg-copied-vda
machine mg-copied "$(file_disk "$work/copied.img" vda)"
ferry fleet plan --connect "$here" --guest mg-copied --rewrite-only --pool rbd --id libvirt --secret-uuid "$secret" -o rewrite.toml
ferry fleet submit rewrite.toml --name "$name-r"
cp copied.img before.img
printf other | dd of=copied.img conv=notrunc status=none
work_on() {
  ferry fleet work --name "$name-r" --once --connect "$here" --state-dir "$work/state" -q
}
work_on
expect 0 "does not hold what $work/copied.img does" ferry fleet status "$name-r"
virsh -q -c "$here" dumpxml mg-copied | grep -q copied.img || fail "its definition was changed"
rbd info rbd/mg-copied-vda >/dev/null || fail "the volume was removed"
dd if=before.img of=copied.img conv=notrunc status=none
ferry fleet retry "$name-r"
work_on
expect 0 "1 done" ferry fleet status "$name-r"
virsh -q -c "$here" dumpxml mg-copied | grep -q "name='rbd/mg-copied-vda'" || fail "its definition was not changed"

# Every volume of the pool, by two workers that the plan deals them out to; one in use is refused.
virsh -q -c "$here" destroy mg-off
rbd create --size 16M rbd/mg-zeros
rbd bench --io-type write --io-size 4M --io-total 16M --io-pattern seq rbd/mg-zeros >/dev/null # every object exists
truncate -s 16M zeros.raw
qemu-img convert -n -S 0 -f raw -O raw zeros.raw rbd:rbd/mg-zeros
expect 2 "needs a pool and a host" ferry fleet plan --sparsify --pool rbd
expect 2 "is for a plan that moves guests" ferry fleet plan --sparsify --pool rbd --host h1 --guest mg-off
ferry fleet plan --sparsify --pool rbd --id libvirt --host h1 --host h2 -o volumes.toml
grep -q '^image = "rbd:rbd/mg-off-vda"' volumes.toml || fail "$(cat volumes.toml)"
grep -q '^# 1 client(s) have it open now' volumes.toml || fail "$(cat volumes.toml)"
ferry fleet submit volumes.toml --name "$name-s"
for host in h1 h2; do
  ferry fleet work --name "$name-s" --once --host "$host" --state-dir "$work/$host" &
done
wait
ferry fleet report "$name-s" -o volumes.json
[[ $(told volumes.json '[guests["rbd:rbd/mg-" + n]["state"] for n in ("off-vda", "zeros", "runs-vda")]') == "['done', 'done', 'failed']" ]] || fail "$(cat volumes.json)"
[[ $(told volumes.json 'guests["rbd:rbd/mg-zeros"]["disks"][0]["before_bytes"], guests["rbd:rbd/mg-zeros"]["disks"][0]["after_bytes"]') == "(16777216, 0)" ]] || fail "$(cat volumes.json)"
