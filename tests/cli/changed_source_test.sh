# SPDX-License-Identifier: LGPL-2.1-or-later
# A source that changes while it is read is an error, and there is no target: a copy is of one state, or it is none.

make_source() {
  rm -f src.raw
  dd if=/dev/urandom of=src.raw bs=1M count=6 status=none
  truncate -s 12M src.raw # and a hole up to the end
}

# While a copy of src.raw runs (from its first byte until it is let go), COMMAND changes the source.
change_during() { # "OPTIONS" MESSAGE COMMAND...
  local options=$1 message=$2 status=0 pid
  shift 2
  make_source
  # shellcheck disable=SC2086 # words
  "$VMFERRY" convert -q -j 2 --rate-limit 6M $options src.raw out.raw 2>said.txt &
  pid=$!
  until_true 10 test -e .out.raw.vmferry-partial
  "$@"
  wait "$pid" || status=$?
  [[ $status == 1 ]] || fail "status $status after '$*' ($options): $(cat said.txt)"
  grep -Eq "$message" said.txt || fail "after '$*' ($options): $(cat said.txt)"
  [[ ! -e out.raw ]] || fail "a target of a source that changed ($*)"
  no_leftovers
}

replace() {
  cp src.raw new.raw
  mv new.raw src.raw
}

put_back_the_time() { # as "cp -p", rsync and tar do
  touch -r src.raw stamp
  printf X | dd of=src.raw bs=1 seek=5000000 conv=notrunc status=none
  touch -r stamp src.raw
}

for options in "" --verify; do
  change_during "$options" "src.raw: .*(had 12 MiB|longer a moment ago)" truncate -s 1M src.raw
  change_during "$options" "src.raw: .*(had 12 MiB|longer a moment ago)" truncate -s 0 src.raw
  change_during "$options" "src.raw: .*had 12 MiB.*16 MiB now" truncate -s 16M src.raw
  change_during "$options" "src.raw: .*something wrote to it" dd if=/dev/urandom of=src.raw bs=4096 count=1 seek=2000 conv=notrunc status=none
  change_during "$options" "src.raw: .*another file took its place" replace
  change_during "$options" "src.raw: .*removed or renamed" rm src.raw
  change_during "$options" "src.raw: .*times were changed" put_back_the_time
done

# Cut below what is read, and as long as before again.
cut_and_grow() {
  truncate -s 1M src.raw
  truncate -s 12M src.raw
}
change_during "" "src.raw: .*(something wrote to it|longer a moment ago|had 12 MiB)" cut_and_grow

# Anything of a chain: the backing file, the external data file.
make_source
qemu-img create -q -f qcow2 -F raw -b src.raw over.qcow2
"$VMFERRY" convert -q -f qcow2 --rate-limit 6M over.qcow2 chain.raw 2>said.txt &
pid=$!
until_true 10 test -e .chain.raw.vmferry-partial
printf X | dd of=src.raw bs=1 seek=1000000 conv=notrunc status=none
! wait "$pid" || fail "a backing file was written meanwhile"
grep -q "src.raw: .*something wrote to it" said.txt || fail "said: $(cat said.txt)"
[[ ! -e chain.raw ]] || fail "a target of a chain that changed"

# A block device has no times, but the kernel counts what is written to it.
if ((EUID == 0)); then
  make_source
  loop=$(losetup --find --show src.raw)
  clear_device() {
    losetup -d "$loop"
  }
  trap 'finish clear_device' EXIT
  printf X | dd of="$loop" bs=1 seek=1000000 conv=notrunc status=none # not flushed yet: no change of later
  ferry convert -q "$loop" device.raw
  "$VMFERRY" convert -q --force --rate-limit 6M "$loop" device.raw 2>said.txt &
  pid=$!
  until_true 10 test -e .device.raw.vmferry-partial
  printf Y | dd of="$loop" bs=1 seek=1000000 conv=notrunc status=none
  ! wait "$pid" || fail "a device was written meanwhile"
  grep -q "$loop: .*something wrote to the device" said.txt || fail "said: $(cat said.txt)"
fi

# --source-in-use: that is meant.
make_source
"$VMFERRY" convert -q --source-in-use --rate-limit 6M src.raw out.raw &
pid=$!
until_true 10 test -e .out.raw.vmferry-partial
printf X | dd of=src.raw bs=1 seek=5999999 conv=notrunc status=none
wait "$pid" || fail "--source-in-use"
rm out.raw

# Compare and a dry run say nothing about what was not one state. strace makes the moment longer.
make_source
cp --sparse=always src.raw other.raw
: >strace.txt
strace -f -qq -o strace.txt -P other.raw -e trace=openat,pread64 -e inject=pread64:delay_exit=200000 \
  "$VMFERRY" compare -q -j 1 src.raw other.raw 2>said.txt &
pid=$!
until_true 20 grep pread64 strace.txt
printf X | dd of=other.raw bs=1 seek=11000000 conv=notrunc status=none
status=0
wait "$pid" || status=$?
[[ $status == 2 ]] || fail "compare of a file that changed: status $status: $(cat said.txt)"
grep -q "other.raw: .*something wrote to it" said.txt || fail "compare said: $(cat said.txt)"

# A file that was changed a moment before it is opened has its times too young to tell; that is waited for.
for _ in 1 2 3 4 5; do
  rm -f out.raw
  printf X | dd of=src.raw bs=1 seek=100 conv=notrunc status=none
  ferry convert -q src.raw out.raw
done
# What leaves the bytes alone is no change: reading, a second copy, the clone of blocks.
ferry compare -q src.raw out.raw
