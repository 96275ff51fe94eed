# SPDX-License-Identifier: LGPL-2.1-or-later
#
# --verify asks the OSDs for checksums of what they keep, and finds a wrong byte, a lost object, and one too many.

eval "$("$ROOT/tools/lab" env)"
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
clear_all() {
  [[ ! -v run ]] || kill -KILL "$run"
  clear_volumes verify
  rbd rm --no-progress rbd/verify-ns/verify-a
  rbd namespace remove rbd/verify-ns
  ceph osd pool rm verify-data verify-data --yes-i-really-really-mean-it
}
trap 'finish clear_all' EXIT

truncate -s 60M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=9 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1000 count=77 seek=30010 conv=notrunc status=none
printf end | dd of=disk.raw bs=1 seek=$((60 * 1048576 - 3)) conv=notrunc status=none

# Layouts whose objects the OSDs can be asked about, and others.
for layout in "" "--object-size 32M" "--features=layering" "--features=layering,exclusive-lock"; do
  # shellcheck disable=SC2086 # words
  expect 0 "verified by the checksums of its store" ferry convert --verify $layout disk.raw rbd:rbd/verify-a
  rbd export --no-progress rbd/verify-a - | cmp - disk.raw
  rbd rm --no-progress rbd/verify-a
done
for layout in "--object-size 1M" "--object-size 4M --stripe-unit 1M --stripe-count 3"; do
  # shellcheck disable=SC2086 # words
  expect 0 "verified by reading it back" ferry convert --verify $layout disk.raw rbd:rbd/verify-a
  rbd rm --no-progress rbd/verify-a
done
expect 0 '"verified":true,"verified_by":"checksums"' ferry convert --verify --json disk.raw rbd:rbd/verify-a
expect 0 '"verified":true,"verified_by":"reading"' ferry convert --force --verify=read --json disk.raw rbd:rbd/verify-a
expect 0 "verified by reading it back" ferry convert --verify disk.raw copy.raw
rbd rm --no-progress rbd/verify-a

# A data pool of its own, a namespace, and a pool in which nothing else is.
ceph osd pool create verify-data 8 8 >/dev/null 2>&1
rbd pool init verify-data
rbd namespace create rbd/verify-ns
expect 0 "verified by the checksums" ferry convert --verify --data-pool verify-data disk.raw rbd:rbd/verify-ns/verify-a
rbd export --no-progress rbd/verify-ns/verify-a - | cmp - disk.raw
rbd rm --no-progress rbd/verify-ns/verify-a
rbd namespace remove rbd/verify-ns

# All that will be there is: what is asked beforehand is about the first objects only.
is_copied() {
  (($(rados -p rbd ls | grep -c "^$prefix\.") == 5))
}

# damaged WHAT COMMAND...: between the copy and the question COMMAND is run, with the prefix of the objects' names as $prefix.
# The first call asks what names there are.
damaged() {
  local what=$1 status=0
  shift
  rm -f go log said
  VMFERRY_FAULT="rados_aio_read_op_operate:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$FAULTS \
    "$VMFERRY" convert -j 1 --verify disk.raw rbd:rbd/verify-b >said 2>&1 &
  run=$!
  until_true 20 grep -q fired log
  prefix=$(rbd info rbd/verify-b.vmferry-partial | sed -n 's/.*block_name_prefix: //p')
  until_true 20 is_copied
  "$@"
  touch go
  wait "$run" || status=$?
  unset run
  [[ $status == 1 ]] || fail "$what: status $status: $(cat said)"
  grep -q "rbd:rbd/verify-b: verify at $wanted: reads back differently from the source" said ||
    fail "$what: $(cat said)"
  expect 2 "No such file|error opening" rbd info rbd/verify-b
}
wrong_byte() {
  rados -p rbd get "$prefix.0000000000000001" object
  printf X | dd of=object bs=1 seek=1000000 conv=notrunc status=none
  rados -p rbd put "$prefix.0000000000000001" object
}
cut_object() {
  truncate -s 1000000 object
  rados -p rbd put "$prefix.0000000000000001" object
}
longer_object() {
  rados -p rbd get "$prefix.0000000000000002" object
  truncate -s 2097152 object
  printf X >>object
  rados -p rbd put "$prefix.0000000000000002" object
}
lost_object() {
  rados -p rbd rm "$prefix.0000000000000000"
}
wanted=5194304 damaged "a wrong byte" wrong_byte
wanted=5194304 damaged "a cut object" cut_object
wanted="10 MiB" damaged "an object that goes on" longer_object
wanted=0 damaged "a lost object" lost_object

no_leftovers
