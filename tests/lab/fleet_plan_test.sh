# SPDX-License-Identifier: LGPL-2.1-or-later
# A plan for the guests of two hosts, made, edited and checked again; nothing is changed by it.
source "$ROOT/tests/lab/guest_helpers.sh"
secret=$("$lab" secret)
plan() {
  ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --connect "$VMFERRY_LAB_HOSTB" --pool rbd --id libvirt --secret-uuid "$secret" "$@"
}
check() {
  ferry fleet plan --check plan.toml
}
# told FILE KEY: what a plan says, as Python reads it.
told() {
  python3 - "$@" <<'END'
import sys, tomllib
plan = tomllib.load(open(sys.argv[1], "rb"))
print(eval(sys.argv[2], {"plan": plan, "guests": {guest["name"]: guest for guest in plan.get("guest", [])}}))
END
}

qemu-img create -q -f qcow2 base.qcow2 1G
qemu-io -c 'write -P 1 0 8M' base.qcow2 >/dev/null
for name in one two; do
  qemu-img create -q -f qcow2 -b "$work/base.qcow2" -F qcow2 "$name.qcow2"
  define_machine "$VMFERRY_LAB_HOSTA" "mg-$name" "$(file_disk "$work/$name.qcow2" vda "type='qcow2'")"
done
truncate -s 64M raw.img taken.img
dd if=/dev/urandom of=raw.img bs=1M count=3 conv=notrunc status=none
define_machine "$VMFERRY_LAB_HOSTB" mg-raw "$(file_disk "$work/raw.img" vda)"
virsh -q -c "$VMFERRY_LAB_HOSTB" start mg-raw
define_machine "$VMFERRY_LAB_HOSTB" mg-taken "$(file_disk "$work/taken.img" vda)"
rbd create --size 1M rbd/mg-taken-vda
rbd create --size 64M rbd/mg-old
define_machine "$VMFERRY_LAB_HOSTB" mg-moved "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='rbd/mg-old'/><target dev='vda' bus='virtio'/></disk>"

# definitions: those of all guests, with the names of all volumes.
definitions() {
  for host in "$VMFERRY_LAB_HOSTA" "$VMFERRY_LAB_HOSTB"; do
    for name in $(virsh -q -c "$host" list --all --name); do
      virsh -q -c "$host" dumpxml --inactive "$name"
    done
  done
  rbd ls
}
before=$(definitions)

# What moves, what does not and why, and the sums.
plan --bandwidth 1M -o plan.toml >said
grep -q '3 guests planned, 1 refused, 1 left out' said || fail "$(cat said)"
grep -q '^# refused: mg-taken on hostb: volume rbd:rbd/mg-taken-vda: exists already' plan.toml || fail "no reason: $(cat plan.toml)"
grep -q '^# left out: mg-moved on hostb: all of its disks are on RBD' plan.toml || fail "$(cat plan.toml)"
grep -qE "^# hosta: $work/base.qcow2 is below the disks of 2 guests.* would save 8.* MiB" plan.toml || fail "$(cat plan.toml)"
grep -qE '^# pool rbd: .* of data, .* on its disks \([1-3] for each byte\); .* may be written, about .* until' plan.toml || fail "$(cat plan.toml)"
grep -qE '^# hostb: .* free in the file system of ' plan.toml || fail "$(cat plan.toml)"
[[ $(told plan.toml 'sorted(guests)') == "['mg-one', 'mg-raw', 'mg-two']" ]] || fail "$(told plan.toml 'sorted(guests)')"
[[ $(told plan.toml '[guests[n]["way"] for n in ("mg-one", "mg-raw")]') == "['offline', 'live']" ]] || fail "ways: $(cat plan.toml)"
[[ $(told plan.toml 'guests["mg-raw"]["host"], guests["mg-one"]["host"], guests["mg-raw"]["disk"][0]["target"]') == "('hostb', 'hosta', 'rbd:rbd/mg-raw-vda')" ]] || fail "$(cat plan.toml)"
[[ $(told plan.toml 'guests["mg-raw"]["uuid"]') == "$(virsh -q -c "$VMFERRY_LAB_HOSTB" domuuid mg-raw)" ]] || fail "another UUID"
(($(told plan.toml 'guests["mg-one"]["data"]') >= 8 << 20)) || fail "less data than the base has"
(($(told plan.toml 'guests["mg-raw"]["data"]') >= 3 << 20)) || fail "less data than there is"
expect 0 "3 of 3 guests can move as planned" check
expect 1 "the file exists" plan -o plan.toml
[[ $(definitions) == "$before" ]] || fail "something was changed"

# To the other host: those that are there already stay.
plan --guest mg-one --guest mg-raw --to "$VMFERRY_LAB_HOSTB" >away.toml || true
[[ $(told away.toml 'guests["mg-one"]["target_host"]') == hostb ]] || fail "$(cat away.toml)"
grep -q 'refused: mg-raw on hostb: target host: source and target are the same' away.toml || fail "$(cat away.toml)"

# A host that is away stops no other.
expect 1 "nobody" ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --connect "qemu+unix:///system?socket=$work/nobody" --pool rbd --id libvirt --secret-uuid "$secret" -o part.toml
[[ $(told part.toml 'sorted(guests)') == "['mg-one', 'mg-two']" ]] || fail "$(cat part.toml)"
grep -q '^# trouble: .*nobody' part.toml || fail "$(cat part.toml)"

# What was edited counts; what changed since is named.
sed -i 's,rbd:rbd/mg-one-vda,rbd:rbd/mg-by-hand,; s/^jobs = 4/jobs = 1/' plan.toml
expect 0 "3 of 3" check
rbd create --size 1M rbd/mg-by-hand
virsh -q -c "$VMFERRY_LAB_HOSTA" undefine mg-two
check >said && fail "a volume and a guest that is gone were not seen"
grep -q 'refused: mg-one on hosta: volume rbd:rbd/mg-by-hand: exists already' said || fail "$(cat said)"
grep -q 'refused: mg-two on hosta: .*no domain of that name' said || fail "$(cat said)"
grep -q '1 of 3 guests can move' said || fail "$(cat said)"
sed -i 's/^jobs = 1/jobs = 0/' plan.toml
line=$(grep -n '^jobs = 0' plan.toml)
expect 2 "plan.toml:${line%%:*}: 'jobs' is 0" check

# No pool, no plan.
expect 1 "there is no such pool" ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --pool mg-none -o none.toml
[[ ! -e none.toml ]] || fail "a plan without a pool"
