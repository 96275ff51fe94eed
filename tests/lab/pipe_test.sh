# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Streams to and from volumes: one that grows has exactly the bytes of its stream, and is verified; one is written to a pipe.

eval "$("$ROOT/tools/lab" env)"
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
clear_all() {
  [[ ! -v run ]] || kill -KILL "$run"
  clear_volumes pipe
  ceph osd pool rm pipe-data pipe-data --yes-i-really-really-mean-it
}
trap 'finish clear_all' EXIT

make_disk disk.raw
truncate -s 1200000512 wide.raw # grows twice, and ends in a hole
for megabyte in 0 900 1030 1100; do
  dd if=/dev/urandom of=wide.raw bs=1M count=1 seek=$megabyte conv=notrunc status=none
done
zstd -q -1 -k wide.raw

# exactly VOLUME FILE: size and bytes are those of the file.
exactly() {
  expect 0 "\"size\":$(stat -c %s "$2")[,}]" rbd info --format json "$1"
  ferry compare -q "rbd:$1" "$2" || fail "$1 and $2 differ"
}

# A size that is not known, one that is; raw and compressed; with and without an object map, and with fancy striping.
ferry convert --verify - rbd:rbd/pipe-a <disk.raw | grep -q "verified by the checksums of its store"
exactly rbd/pipe-a disk.raw
rbd export --no-progress rbd/pipe-a - | cmp - disk.raw
for layout in "" "--features=layering" "--object-size 4M --stripe-unit 1M --stripe-count 3"; do
  rbd rm --no-progress rbd/pipe-a
  # shellcheck disable=SC2086 # words
  zstd -dc wide.raw.zst | ferry convert -q --verify $layout - rbd:rbd/pipe-a
  exactly rbd/pipe-a wide.raw
done
ferry convert -q --force --verify --size 1200000512 wide.raw.zst rbd:rbd/pipe-a
exactly rbd/pipe-a wide.raw
# Thin: what is zero has no object.
(($(rados -p rbd ls | grep -c "$(rbd info rbd/pipe-a | sed -n 's/.*block_name_prefix: //p')") <= 10)) || fail "zeros were written"
ceph osd pool create pipe-data 8 8 >/dev/null 2>&1
rbd pool init pipe-data
ferry convert -q --verify --data-pool pipe-data - rbd:rbd/pipe-b <wide.raw.zst
exactly rbd/pipe-b wide.raw
expect 0 '"data_pool":"pipe-data"' rbd info --format json rbd/pipe-b

# To a pipe, and from volume to volume.
ferry convert -q rbd:rbd/pipe-b - | cmp - wide.raw
ferry convert -q rbd:rbd/pipe-b - | ferry convert -q --force --verify - rbd:rbd/pipe-a
exactly rbd/pipe-a wide.raw
rbd export --no-progress rbd/pipe-a - | cmp - wide.raw

# A stream that is too short, cut or a container leaves nothing; the old volume stays.
head -c 100000 wide.raw.zst >cut.zst
expect 1 "standard input: unpack \(zstd\) at 10[0-9]*" ferry convert --force - rbd:rbd/pipe-a <cut.zst
short() { head -c 19000000 disk.raw | ferry convert --force --size 20000001 - rbd:rbd/pipe-a; }
expect 1 "standard input: read at 19000000: it ends here" short
exactly rbd/pipe-a wide.raw
expect 2 "error opening image" rbd info rbd/pipe-a.vmferry-partial

# A signal while the stream is silent.
mkfifo silent
"$VMFERRY" convert - rbd:rbd/pipe-c <silent 2>said &
run=$!
exec 7>silent
head -c 10000000 disk.raw >&7
until_true 20 rbd info rbd/pipe-c.vmferry-partial
kill -INT "$run"
status=0
wait "$run" || status=$?
unset run
exec 7>&-
[[ $status == 130 ]] || fail "status $status: $(cat said)"
expect 2 "error opening image" rbd info rbd/pipe-c.vmferry-partial
expect 2 "error opening image" rbd info rbd/pipe-c

# A wrong byte that is put behind Ceph's back between the copy and the question for checksums; the first call asks for names.
VMFERRY_FAULT="rados_aio_read_op_operate:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$FAULTS \
  "$VMFERRY" convert --verify - rbd:rbd/pipe-c >said 2>&1 <disk.raw &
run=$!
until_true 20 grep -q fired log
prefix=$(rbd info rbd/pipe-c.vmferry-partial | sed -n 's/.*block_name_prefix: //p')
rados -p rbd get "$prefix.0000000000000000" object
printf X | dd of=object bs=1 seek=1000000 conv=notrunc status=none
rados -p rbd put "$prefix.0000000000000000" object
touch go
status=0
wait "$run" || status=$?
unset run
[[ $status == 1 ]] || fail "status $status: $(cat said)"
expect 0 "rbd:rbd/pipe-c: verify at 0: the 4 MiB from there on do not read back as they were written" cat said
expect 2 "error opening image" rbd info rbd/pipe-c
no_leftovers
