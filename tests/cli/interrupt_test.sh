# SPDX-License-Identifier: LGPL-2.1-or-later
# Signals stop within a second and clean up; kill -9 leaves nothing under the final name, and the next run clears up.
make_disk disk.raw

interrupt() { # SIGNAL STATUS
  local status=0 start end pid
  "$VMFERRY" convert --rate-limit 100K disk.raw out.raw 2>said.txt &
  pid=$!
  for _ in $(seq 100); do
    [[ ! -e .out.raw.vmferry-partial ]] || break
    sleep 0.05
  done
  [[ -e .out.raw.vmferry-partial ]] || fail "it never started"
  sleep 0.3
  start=$(date +%s%N)
  kill "-$1" "$pid"
  wait "$pid" || status=$?
  end=$(date +%s%N)
  [[ $status == "$2" ]] || fail "status $status after $1, not $2: $(cat said.txt)"
  (((end - start) / 1000000 < 1000)) || fail "took $(((end - start) / 1000000)) ms to stop"
  [[ ! -e out.raw ]] || fail "$1 left a target under its final name"
}

# A background job of a script ignores SIGINT from birth; vmferry takes it all the same (sigtimedwait).
interrupt INT 130
no_leftovers
interrupt TERM 143
no_leftovers
interrupt KILL 137
[[ -e .out.raw.vmferry-partial ]] || fail "the test expects a left-over"
ferry convert -q disk.raw out.raw
same disk.raw out.raw
no_leftovers

# Two runs to one target: the second is refused, the first goes on.
"$VMFERRY" convert -q --rate-limit 2M disk.raw two.raw &
first=$!
for _ in $(seq 100); do
  [[ ! -e .two.raw.vmferry-partial ]] || break
  sleep 0.05
done
expect 1 "another vmferry is writing this target" ferry convert disk.raw two.raw
wait "$first"
same disk.raw two.raw

# Somebody takes the name while we copy.
"$VMFERRY" convert -q --rate-limit 2M disk.raw taken.raw 2>said.txt &
first=$!
for _ in $(seq 100); do
  [[ ! -e .taken.raw.vmferry-partial ]] || break
  sleep 0.05
done
echo mine >taken.raw
! wait "$first" || fail "replaced a file that was made meanwhile"
grep -q "meanwhile" said.txt
[[ $(cat taken.raw) == mine ]] || fail "the other's file was lost"
no_leftovers
