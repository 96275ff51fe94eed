# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Erasure-coded data: the checksums of its OSDs prove a copy, find a wrong byte, and tell what an unfinished one holds. In a
# Ceph of its own with three OSDs.

export VMFERRY_LAB=$PWD/lab
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
others=()
tidy() {
  [[ ! -v run ]] || kill -KILL "$run"
  kill -KILL "${others[@]}"
  "$ROOT/tools/lab" down
}
trap 'finish tidy' EXIT
# The lab of other tests may be in the environment.
unset CEPH_CONF
"$ROOT/tools/lab" up ceph >/dev/null
eval "$("$ROOT/tools/lab" env)"

# The admin socket of each has to be its own.
for id in 1 2; do
  uuid=$(</proc/sys/kernel/random/uuid)
  mkdir "$VMFERRY_LAB/osd$id"
  sed "s,run/osd.asok,run/osd$id.asok,; s,= $VMFERRY_LAB/osd,= $VMFERRY_LAB/osd$id,; s,block size = .*,block size = 2147483648," "$CEPH_CONF" >"$VMFERRY_LAB/osd$id.conf"
  ceph osd new "$uuid" "$id" >/dev/null
  ceph auth get-or-create "osd.$id" mon 'allow profile osd' mgr 'allow profile osd' osd 'allow *' >>"$VMFERRY_LAB/keyring"
  ceph-osd -i "$id" -c "$VMFERRY_LAB/osd$id.conf" --mkfs --osd-uuid "$uuid" >"$VMFERRY_LAB/log/osd$id.log" 2>&1
  (cd "$VMFERRY_LAB" && exec ceph-osd -f -i "$id" -c "$VMFERRY_LAB/osd$id.conf") >>"$VMFERRY_LAB/log/osd$id.log" 2>&1 &
  others+=($!)
done
are_up() {
  ceph osd stat | grep -q '3 up'
}
until_true 60 are_up

# Two of three hold the data, one the parity.
ceph osd erasure-code-profile set small k=2 m=1 crush-failure-domain=osd
ceph osd pool create ec 8 8 erasure small >/dev/null 2>&1
ceph osd pool set ec allow_ec_overwrites true >/dev/null 2>&1
ceph osd pool application enable ec rbd >/dev/null 2>&1
are_clean() {
  ceph pg stat | grep -qE '^16 pgs: 16 active\+clean;'
}
until_true 60 are_clean
profile=$(ceph osd pool get ec erasure_code_profile)
[[ $profile == *small* ]] || fail "$profile"

truncate -s 60M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=9 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1000 count=7077 seek=30010 conv=notrunc status=none
printf end | dd of=disk.raw bs=1 seek=$((60 * 1048576 - 3)) conv=notrunc status=none
is_copy() {
  rbd export --no-progress "$1" - | cmp - disk.raw
}

for layout in "" "--object-size 32M"; do
  # shellcheck disable=SC2086 # words
  expect 0 "verified by the checksums of its store" ferry convert --verify --data-pool ec $layout disk.raw rbd:rbd/a
  is_copy rbd/a
  rbd rm --no-progress rbd/a
done

# What differs from a base, in whole objects.
"$VMFERRY" convert -q --data-pool ec disk.raw rbd:rbd/golden
rbd snap create --no-progress rbd/golden@v1
cp disk.raw other.raw
printf X | dd of=other.raw bs=1 seek=5000000 conv=notrunc status=none
fallocate -p -o 32M -l 5M other.raw
for pool in ec rbd; do
  expect 0 "verified by reading" ferry convert --verify --data-pool $pool --base rbd:rbd/golden@v1 other.raw rbd:rbd/clone
  rbd export --no-progress rbd/clone - | cmp - other.raw
  rbd rm --no-progress rbd/clone
done

# damaged WHERE COMMAND...: COMMAND is run between the copy and the question, with the prefix of the objects' names as $prefix.
# The first call asks what names there are.
damaged() {
  local where=$1 status=0
  shift
  rm -f go log said
  VMFERRY_FAULT="rados_aio_read_op_operate:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$FAULTS \
    "$VMFERRY" convert -j 1 --verify --data-pool ec disk.raw rbd:rbd/b >said 2>&1 &
  run=$!
  until_true 20 grep -q fired log
  prefix=$(rbd info rbd/b.vmferry-partial | sed -n 's/.*block_name_prefix: //p')
  "$@"
  touch go
  wait "$run" || status=$?
  unset run
  [[ $status == 1 ]] || fail "$*: status $status: $(cat said)"
  grep -q "rbd:rbd/b: verify at $where: reads back differently from the source" said || fail "$*: $(cat said)"
  expect 2 "No such file|error opening" rbd info rbd/b
}
wrong_byte() {
  rados -p ec get "$prefix.0000000000000001" object
  printf X | dd of=object bs=1 seek=1000000 conv=notrunc status=none
  rados -p ec put "$prefix.0000000000000001" object
}
longer_object() {
  rados -p ec get "$prefix.0000000000000002" object
  truncate -s 2097152 object
  printf X >>object
  rados -p ec put "$prefix.0000000000000002" object
}
lost_object() {
  rados -p ec rm "$prefix.0000000000000000"
}
damaged 5194304 wrong_byte
damaged "10 MiB" longer_object
damaged 0 lost_object

# Gone on with, by another who is told nothing of the pool of the data; what is wrong then is copied again.
has_checkpoint() {
  rbd image-meta ls "$1" | grep -E '^vmferry.blocks.*[0-9a-f]{30}'
}
for damage in true lost_object; do
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 8M --data-pool ec disk.raw rbd:rbd/c >said 2>&1 &
  run=$!
  until_true 20 has_checkpoint rbd/c.vmferry-partial
  kill -TERM "$run"
  wait "$run" || true
  unset run
  grep -q "go on with it by the same command and --resume" said || fail "$(cat said)"
  prefix=$(rbd info rbd/c.vmferry-partial | sed -n 's/.*block_name_prefix: //p')
  "$damage"
  expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume --verify disk.raw rbd:rbd/c
  is_copy rbd/c
  [[ $(rbd info rbd/c) == *"data_pool: ec"* ]] || fail "not in its pool"
  rbd rm --no-progress rbd/c
done

no_leftovers
