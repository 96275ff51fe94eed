# SPDX-License-Identifier: LGPL-2.1-or-later
# What goes wrong in the middle: each time the guest goes on, and all is as it was, or the move is complete.
source "$ROOT/tests/lab/guest_helpers.sh"

start mg-fail
before=$(picture)
osd=$(cat "$VMFERRY_LAB/osd.pid")

# Ctrl-C in the middle of each way.
move_in_background --rate-limit 60M
wait_for_step "copy the frozen"
sleep 1
kill -INT "$mover"
ended 130 "as it was before"
untouched "$before"

move_in_background --method mirror --rate-limit 60M
wait_for_step "mirror the disks"
sleep 1
kill -INT "$mover"
ended 130 "as it was before"
untouched "$before"

move_in_background --method mirror --to "$VMFERRY_LAB_HOSTB" --rate-limit 60M
wait_for_step "migrate the guest"
sleep 1
kill -TERM "$mover"
ended 143 "as it was before"
untouched "$before"

# Too slow, and too much written meanwhile.
move_in_background --rate-limit 20M --timeout 3
ended 1 "timeout"
untouched "$before"

"$lab" guest run mg-fail sh -c 'dd if=/dev/urandom of=/root/big bs=1M count=40 >/dev/null 2>&1 &'
move_in_background --rate-limit 20M --overlay-max 8M
ended 1 "overlay"
"$lab" guest run mg-fail sh -c 'rm -f /root/big; sync'
limit=$((limit + (40 << 20))) # what was removed is on the disk all the same
untouched "$before"

# The target's libvirtd dies in the middle, and comes back.
move_in_background --method mirror --to "$VMFERRY_LAB_HOSTB" --rate-limit 60M
wait_for_step "migrate the guest"
sleep 1
kill -KILL "$(cat "$VMFERRY_LAB/hostb.pid")"
sleep 1
"$lab" up >/dev/null
status=0
wait "$mover" || status=$?
[[ $status == 1 ]] || fail "status $status: $(cat steps)"
[[ -z $(find "$state" -name '*.json') ]] || ferry migrate mg-fail --recover --undo --state-dir "$state" -q
[[ -z $(on_b list --all --name) ]] || fail "something is left at the target: $(on_b list --all)"
untouched "$before"

# Ceph stands still in the middle of the copy: the guest does not, and the copy goes on when Ceph does.
move_in_background --rate-limit 60M
wait_for_step "copy the frozen"
sleep 1
kill -STOP "$osd"
python3 "$ROOT/tests/bench/heartbeat.py" "$log" >silence &
watch=$!
sleep 12
kill "$watch"
wait "$watch"
kill -CONT "$osd"
(($(sed 's/\..*//' silence) < 5)) || fail "the guest stood still for $(cat silence) s"
ended 0 ""
arrived "$VMFERRY_LAB_HOSTA"
"$lab" guest down mg-fail

# The guest is killed between two steps, and started again: its definition always names a disk that it can run from.
start mg-dies
move_in_background
wait_for_step "copy the frozen"
kill -STOP "$mover"
on_a destroy mg-dies
on_a start mg-dies
kill -CONT "$mover"
wait "$mover" || true
if [[ -n $(find "$state" -name '*.json') ]]; then
  ferry migrate mg-dies --recover --state-dir "$state" -q
fi
"$lab" guest wait mg-dies
lives "$VMFERRY_LAB_HOSTA"
files_whole
no_journal
[[ $(disks "$VMFERRY_LAB_HOSTA") == "$(disks "$VMFERRY_LAB_HOSTA" --inactive)" ]] || fail "two definitions of the disks: $(picture)"
