# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A copy waits for a cluster that is away, says so, and goes on when it is back.
eval "$("$ROOT/tools/lab" env)"
lab=$(dirname -- "$CEPH_CONF")
faults=${VMFERRY%/*}/libvmferry-faults.so

pid_of() {
  cat "$lab/$1.pid"
}
# kill_daemon NAME: with SIGKILL; start_daemon starts it as it was, and leaves it to tools/lab.
kill_daemon() {
  mapfile -d '' -t "argv_$1" <"/proc/$(pid_of "$1")/cmdline"
  kill -KILL "$(pid_of "$1")"
}
start_daemon() {
  local -n argv=argv_$1
  (cd -- "$lab" && exec setsid "${argv[@]}") </dev/null >>"$lab/log/$1.log" 2>&1 &
  echo $! >"$lab/$1.pid"
}
leave() {
  kill -CONT "$(pid_of osd)"
  for name in mon osd; do
    kill -0 "$(pid_of "$name")" || start_daemon "$name"
  done
  "$ROOT/tools/lab" up ceph
  clear_volumes stall
  ceph osd pool rm stall-small stall-small --yes-i-really-really-mean-it
}
trap 'finish leave' EXIT

truncate -s 200M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=60 conv=notrunc status=none

# copying OPTION...: a copy that takes some seconds, well under way.
copying() {
  : >said
  timeout 120 "$VMFERRY" convert --progress json --rate-limit 15M "$@" >said 2>&1 &
  run=$!
  until_true 20 grep -Eq '"written_bytes":[0-9]{7}' said
}
goes_on() {
  wait "$run" || fail "$1: $(tail -3 said)"
}

copying --verify disk.raw rbd:rbd/stall-a
kill -STOP "$(pid_of osd)"
until_true 40 grep -q '"waiting_seconds":1[0-9]' said
kill -CONT "$(pid_of osd)"
goes_on "an osd that slept"
rbd export --no-progress rbd/stall-a - | cmp - disk.raw

# While it reads from the cluster, and while what was copied is asked for.
copying rbd:rbd/stall-a out.raw
kill_daemon osd
sleep 1
start_daemon osd
goes_on "an osd that died while it was read"
same out.raw disk.raw

copying --verify disk.raw rbd:rbd/stall-b
kill_daemon osd
sleep 1
start_daemon osd
goes_on "an osd that died while it was written to"
rbd export --no-progress rbd/stall-b - | cmp - disk.raw

copying --verify --force disk.raw rbd:rbd/stall-b
kill_daemon mon
sleep 1
start_daemon mon
goes_on "a monitor that died"
rbd export --no-progress rbd/stall-b - | cmp - disk.raw

# It waits as long as it was told, keeps what was copied, and what follows goes on with it.
copying -j 1 --stall-timeout 4 --ceph-timeout 4 --checkpoint-every 0.2 disk.raw rbd:rbd/stall-c
sleep 1.5
kill -STOP "$(pid_of osd)"
status=0
wait "$run" || status=$?
kill -CONT "$(pid_of osd)"
[[ $status == 1 ]] || fail "status $status: $(tail -3 said)"
grep -q "the cluster did not answer in time" said || fail "$(tail -3 said)"
grep -q "what was copied is kept: go on with it by the same command and --resume, or remove it: rbd rm rbd/stall-c.vmferry-partial" said ||
  fail "$(tail -3 said)"
expect 0 "beside [0-9.]+ MiB that were there, verified" ferry convert --resume --verify disk.raw rbd:rbd/stall-c
rbd export --no-progress rbd/stall-c - | cmp - disk.raw

# One signal is enough, also while the OSDs are asked for checksums. The first call asks what names there are.
VMFERRY_FAULT="rados_aio_read_op_operate:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$faults \
  "$VMFERRY" convert -q --verify disk.raw rbd:rbd/stall-d >said 2>&1 &
run=$!
until_true 20 grep -s "fired rados_aio_read_op_operate" log
kill -STOP "$(pid_of osd)"
touch go
sleep 0.5 # until it waits
kill -INT "$run"
SECONDS=0
status=0
wait "$run" || status=$?
kill -CONT "$(pid_of osd)"
[[ $status == 130 ]] || fail "status $status: $(cat said)"
((SECONDS < 8)) || fail "took $SECONDS s to stop"
grep -q "could not remove 'rbd/stall-d.vmferry-partial'" said || fail "nothing said of what is left: $(cat said)"

# A full pool is waited for as well.
ceph osd pool create stall-small 8 >/dev/null 2>&1
rbd pool init stall-small
ceph osd pool set-quota stall-small max_bytes 4000000 >/dev/null 2>&1
copying --verify disk.raw rbd:stall-small/stall-a
until_true 60 grep -q '"waiting_seconds":1[0-9]' said
ceph osd pool set-quota stall-small max_bytes 0 >/dev/null 2>&1
goes_on "a pool that was full"
rbd export --no-progress stall-small/stall-a - | cmp - disk.raw
