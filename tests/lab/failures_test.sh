# SPDX-License-Identifier: LGPL-2.1-or-later
# Clusters that refuse, do not answer, or are full.
eval "$("$ROOT/tools/lab" env)"
clear_pools() {
  local pool
  clear_volumes fl-
  for pool in fl-small fl-data; do
    ceph osd pool set-quota $pool max_bytes 0
    ceph osd pool rm $pool $pool --yes-i-really-really-mean-it
  done
}
trap 'finish clear_pools' EXIT
make_disk disk.raw

expect 1 "there is no pool 'nopool'" ferry convert disk.raw rbd:nopool/a
expect 1 "no such volume" ferry convert rbd:rbd/none out.raw
rbd create --size 1M rbd/fl-1
expect 1 "no such volume or snapshot" ferry convert rbd:rbd/fl-1@none out.raw
rbd rm --no-progress rbd/fl-1
expect 1 "no namespace 'none'" ferry convert disk.raw rbd:rbd/none/a
expect 1 "read the Ceph configuration: No such file" ferry convert --ceph-conf /none disk.raw rbd:rbd/a
(
  unset CEPH_CONF
  printf '[global]\n' >empty.conf
  expect 1 "no configuration names its monitors" ferry convert --ceph-conf empty.conf disk.raw rbd:rbd/a
)

# Wrong and missing keys.
ceph-authtool --create-keyring wrong.keyring --gen-key -n client.admin >/dev/null
expect 1 "the monitors refused the key" ferry convert --keyring wrong.keyring disk.raw rbd:rbd/a
expect 1 "no key for this user found .*none.keyring" ferry convert --keyring none.keyring disk.raw rbd:rbd/a
ceph auth get-or-create client.reader mon 'profile rbd' osd 'profile rbd-read-only' -o reader.keyring
expect 1 "(Operation not permitted|Permission denied)" ferry convert --id reader --keyring reader.keyring disk.raw rbd:rbd/a
ceph auth rm client.reader 2>/dev/null

# An OSD that stops to answer in the middle of a copy.
head -c 64M /dev/urandom >dense.raw
(
  "$VMFERRY" convert --rate-limit 20M --ceph-timeout 2 --stall-timeout 8 dense.raw rbd:rbd/fl-stopped 2>said &
  copy=$!
  until_true 20 is_watched rbd/fl-stopped.vmferry-partial
  osd=$(<"$VMFERRY_LAB/osd.pid")
  trap 'kill -CONT "$osd"' EXIT
  kill -STOP "$osd"
  SECONDS=0
  ! wait "$copy" || fail "copied without an OSD"
  ((SECONDS < 25)) || fail "took $SECONDS s to give up"
)
grep -q "fl-stopped: .* did not answer in time" said || fail "said: $(cat said)"
grep -q "could not remove 'rbd/fl-stopped.vmferry-partial'" said || fail "nothing said of what is left: $(cat said)"

# Monitors that do not answer: nobody listens; somebody listens and says nothing.
printf '[global]\nmon host = 127.0.0.1:1\nkeyring = %s\n' "$VMFERRY_LAB/keyring" >dead.conf
expect 1 "monitors did not answer in time" timeout 20 "$VMFERRY" convert --ceph-timeout 2 --ceph-conf dead.conf disk.raw rbd:rbd/a
# A signal does not wait for them, be it source or target that they are asked for.
for pair in "rbd:rbd/a out.raw" "disk.raw rbd:rbd/a"; do
  # shellcheck disable=SC2086 # two words
  "$VMFERRY" convert --ceph-conf dead.conf $pair 2>/dev/null &
  pid=$!
  sleep 1
  start=$(date +%s%N)
  kill -TERM "$pid"
  status=0
  wait "$pid" || status=$?
  [[ $status == 143 ]] || fail "status $status"
  (((($(date +%s%N) - start) / 1000000) < 1500)) || fail "waited for dead monitors"
done

# A full pool is an error, not a hang, and leaves nothing. Where the data have a pool of their own, that one is named.
for pool in fl-small fl-data; do
  ceph osd pool create $pool 8 >/dev/null 2>&1
  rbd pool init $pool
  ceph osd pool set-quota $pool max_bytes 4000000 >/dev/null 2>&1
done
full="(No space left on device|quota exceeded).*pool"
expect 1 "fl-d: write at .*$full 'fl-data' is full" timeout 120 "$VMFERRY" convert --stall-timeout 2 --rate-limit 8M --data-pool fl-data dense.raw rbd:rbd/fl-d &
data=$!
expect 1 "$full 'fl-small' is full" timeout 120 "$VMFERRY" convert --stall-timeout 2 --rate-limit 8M dense.raw rbd:fl-small/a
wait "$data"
[[ -z $(timeout 30 rbd ls fl-small) ]] || fail "left in the full pool: $(rbd ls fl-small)"
[[ $(rbd ls | grep '^fl-') == fl-stopped.vmferry-partial ]] || fail "left: $(rbd ls)"

# The run that was given up some time ago has left its claim, which has to run out.
until_true 60 ferry convert -q dense.raw rbd:rbd/fl-stopped
rbd rm --no-progress rbd/fl-stopped
