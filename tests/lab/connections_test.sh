# SPDX-License-Identifier: LGPL-2.1-or-later
# How often the program connects to a cluster, and how much it asks: librados itself tells, each message a line.
eval "$("$ROOT/tools/lab" env)"
tidy() {
  [[ -z ${address:-} ]] || ceph osd blocklist rm "$address"
  clear_volumes cn-
}
trap 'finish tidy' EXIT
telling=:debug_ms=1:log_to_stderr=true:err_to_stderr=true

connections() { # each of them asks once for the map of OSDs
  grep -c 'mon_subscribe({osdmap' said
}

# costs CONNECTIONS OPERATIONS COMMAND...: it makes so many connections, and asks OSDs for so much at most.
costs() {
  local wanted=$1 most=$2 asked
  shift 2
  "$@" >out 2>said || fail "$*: $(grep ^vmferry said)"
  asked=$(grep -c -- '--> .* osd_op(' said)
  [[ $(connections) == "$wanted" ]] || fail "$(connections) connections, not $wanted: $*"
  ((asked <= most)) || fail "$asked operations, more than $most: $*"
}

dd if=/dev/urandom of=disk.raw bs=1M count=10 status=none
rbd import --no-progress disk.raw rbd/cn-1
rbd import --no-progress disk.raw rbd/cn-2

# Who writes under a claim has a connection of its own; all that ask share one.
costs 1 90 ferry convert -q disk.raw "rbd:rbd/cn-3$telling"
costs 1 335 ferry convert -q --verify --force disk.raw "rbd:rbd/cn-3$telling"
costs 2 140 ferry convert -q "rbd:rbd/cn-1$telling" "rbd:rbd/cn-4$telling"
costs 1 55 ferry convert -q "rbd:rbd/cn-1$telling" back.raw
costs 1 108 ferry compare "rbd:rbd/cn-1$telling" "rbd:rbd/cn-2$telling"
costs 2 95 ferry sparsify -q --in-place "rbd:rbd/cn-2$telling"
same disk.raw back.raw

# One that was cut off serves nobody who comes after that, and what began with it fails.
faults=${VMFERRY%/*}/libvmferry-faults.so
LD_PRELOAD=$faults VMFERRY_FAULT="rados_ioctx_create:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log \
  "$VMFERRY" compare "rbd:rbd/cn-1$telling" "rbd:rbd/cn-2$telling" >out 2>said &
run=$!
until_true 20 grep -s "fired rados_ioctx_create 2 hold" log
address=$(sed -n 's/.* learned my addr \([^ ]*\).*/\1/p' said | tail -n 1)
ceph osd blocklist add "$address" 600 2>/dev/null
ceph osd blocklist ls 2>/dev/null | grep -q "^$address " || fail "$address is not on the blocklist"
touch go
status=0
wait "$run" || status=$?
[[ $status == 2 && $(connections) == 2 ]] || fail "status $status, $(connections) connections"
grep -q "rbd:rbd/cn-1: read .*this client was blocklisted" said || fail "$(grep ^vmferry said)"
