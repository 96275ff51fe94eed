# SPDX-License-Identifier: LGPL-2.1-or-later
# What exists already is refused, or replaced as a whole; a killed run leaves nothing under the final name.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes ex-"' EXIT
make_disk disk.raw

# kill -9; what the run after that finds is at the end: Ceph remembers the dead client, and the claim lasts 30 seconds.
"$VMFERRY" convert -q --rate-limit 256K disk.raw rbd:rbd/ex-2 &
pid=$!
until_true 10 rbd info rbd/ex-2.vmferry-partial
sleep 0.5
kill -KILL "$pid"
wait "$pid" || true
[[ $(rbd ls | grep ex-2) == ex-2.vmferry-partial ]] || fail "after kill -9: $(rbd ls)"
expect 1 "another vmferry is writing this target" ferry convert disk.raw rbd:rbd/ex-2

rbd create --size 5M rbd/ex-1
id=$(rbd info rbd/ex-1 | grep -w id:)
expect 1 "the volume exists" ferry convert disk.raw rbd:rbd/ex-1
[[ $(rbd info rbd/ex-1 | grep -w id:) == "$id" ]] || fail "the old volume is gone"
rbd snap create --no-progress rbd/ex-1@s
expect 1 "has snapshots" ferry convert --force disk.raw rbd:rbd/ex-1
rbd snap rm --no-progress rbd/ex-1@s
ferry convert -q --force disk.raw rbd:rbd/ex-1
rbd export --no-progress rbd/ex-1 - | cmp - disk.raw
expect 1 "is what is being read" ferry convert --force rbd:rbd/ex-1 rbd:rbd/ex-1
expect 2 "a snapshot cannot be written" ferry convert disk.raw rbd:rbd/ex-1@s

# A client that has it open stops a replacement, and a copy unless that is meant.
rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 1G rbd/ex-1 >/dev/null &
writer=$!
until_true 10 is_watched rbd/ex-1
expect 1 "a client has the volume open" ferry convert --force disk.raw rbd:rbd/ex-1
expect 1 "rbd:rbd/ex-1: read: another process" ferry convert rbd:rbd/ex-1 copy.raw
expect 0 "warning: rbd:rbd/ex-1: another process is writing" ferry convert --source-in-use rbd:rbd/ex-1 copy.raw
kill "$writer"
wait "$writer" || true

# Ctrl-C.
status=0
"$VMFERRY" convert -q --rate-limit 256K disk.raw rbd:rbd/ex-3 &
pid=$!
until_true 10 rbd info rbd/ex-3.vmferry-partial
sleep 0.5
start=$(date +%s%N)
kill -INT "$pid"
wait "$pid" || status=$?
took=$((($(date +%s%N) - start) / 1000000))
[[ $status == 130 ]] || fail "status $status after SIGINT"
((took < 1500)) || fail "took $took ms to stop"
! rbd ls | grep -q ex-3 || fail "left over: $(rbd ls)"

# The run after kill -9.
until_true 45 ferry convert -q disk.raw rbd:rbd/ex-2
[[ $(rbd ls | grep ex-2) == ex-2 ]] || fail "left over: $(rbd ls)"

# Killed between the two renames: the old volume is there, and the message says where.
rbd rename rbd/ex-2 rbd/ex-2.vmferry-old
expect 1 "rbd rename rbd/ex-2.vmferry-old rbd/ex-2" ferry convert disk.raw rbd:rbd/ex-2
