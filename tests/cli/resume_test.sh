# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An interrupted copy to a file is gone on with: what was done is kept, and nothing is believed that does not hold.

truncate -s 100000001 disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=30 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1M count=9 seek=70 conv=notrunc status=none
partial=.out.raw.vmferry-partial

# interrupted SIGNAL [OPTION...]: a copy of disk.raw that SIGNAL ends once something is written down.
interrupted() {
  local signal=$1
  shift
  rm -f out.raw "$partial" "$partial.notes"
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 20M "$@" disk.raw out.raw >said 2>&1 &
  local run=$!
  until_true 20 grep -Eq 'blocks.*[0-9a-f]{30}' "$partial.notes"
  kill "-$signal" "$run"
  wait "$run" || true
}
resumed() {
  expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume "$@" disk.raw out.raw
  same out.raw disk.raw
  no_leftovers
}
kept_bytes() {
  ferry convert --resume --json disk.raw out.raw | grep -o '"kept_bytes":[0-9]*' | cut -d: -f2
}

interrupted TERM
grep -q "hint: what was copied is kept: go on with it by the same command and --resume, or remove it: rm $partial $partial.notes" said ||
  fail "$(cat said)"
resumed --digest
interrupted KILL
resumed --verify

# The commands of the hint leave nothing; neither does a run that shall keep nothing, or a short one.
interrupted TERM
rm "$partial" "$partial.notes"
no_leftovers
"$VMFERRY" convert -j 1 --keep-partial never --rate-limit 20M disk.raw out.raw >said 2>&1 &
run=$!
until_true 20 test -s "$partial"
kill -TERM "$run"
wait "$run" || true
no_leftovers

# Without --resume it begins anew, and says what there was.
interrupted KILL
expect 0 "an unfinished copy of it, with [0-9.]+ MiB, was removed \(--resume goes on with one\)" ferry convert disk.raw out.raw
same out.raw disk.raw
no_leftovers
rm out.raw
expect 0 "there is no unfinished copy of it, so it is copied from the beginning" ferry convert --resume disk.raw out.raw
same out.raw disk.raw

# What does not hold what was written down is copied again: a changed byte, a byte in a hole, lost data, a cut note.
interrupted KILL
cp -r --reflink=never "$partial" keep.partial
cp "$partial.notes" keep.notes
again() {
  rm -f out.raw
  cp "keep.partial" "$partial"
  cp "keep.notes" "$partial.notes"
}
again
all=$(kept_bytes)
((all >= 4194304)) || fail "kept only $all bytes"
again
unknown=$(sed -nE 's/.*blocks\.000000 (-*)[0-9a-f].*/\1/p' "$partial.notes" | tail -n 1)
printf X | dd of="$partial" bs=1 seek=$((${#unknown} * 4194304 + 1000)) conv=notrunc status=none
printf X | dd of="$partial" bs=1 seek=50000000 conv=notrunc status=none
printf X | dd of="$partial" bs=1 seek=100000000 conv=notrunc status=none
(($(kept_bytes) < all)) || fail "kept a block with a wrong byte"
same out.raw disk.raw
again
: >"$partial" && truncate -s 100000001 "$partial"
[[ $(kept_bytes) == 0 ]] || fail "kept what was lost"
same out.raw disk.raw
again
truncate -s -30 "$partial.notes"
kept_bytes >kept
same out.raw disk.raw
again
sed -i -E 's/(blocks.000000 -*[0-9a-f]{6})./\1z/' "$partial.notes"
[[ $(kept_bytes) == 0 ]] || fail "believed a note that was edited"
same out.raw disk.raw
again
rm "$partial.notes"
[[ $(kept_bytes) == 0 ]] || fail "kept without notes"
same out.raw disk.raw
no_leftovers
# A pipe in the place of the notes is not waited for, and no other file is read or written in their place.
again
rm "$partial.notes"
mkfifo "$partial.notes"
expect 0 "MiB of data" timeout -s KILL 20 "$VMFERRY" convert --resume --checkpoint-every 0.05 --rate-limit 40M disk.raw out.raw
same out.raw disk.raw
again
mv "$partial.notes" elsewhere
cp elsewhere as.it.was
ln -s elsewhere "$partial.notes"
expect 0 "MiB of data" ferry convert --resume --checkpoint-every 0.05 --rate-limit 40M disk.raw out.raw
same out.raw disk.raw
same elsewhere as.it.was
rm elsewhere as.it.was
no_leftovers

# Another source, a newer version's notes, another size: refused, and kept.
again
sed -i 's/"version":1/"version":2/' "$partial.notes"
expect 1 "another version of vmferry wrote its checkpoints" ferry convert --resume disk.raw out.raw
again
touch disk.raw
expect 1 "the source is not what was copied then: it was 'modified .*', it is 'modified .*' now" ferry convert --resume disk.raw out.raw
truncate -s 100000002 other.raw
expect 1 "it was made for a disk of 100000001, and the source has 100000002" ferry convert --resume other.raw out.raw
[[ -s $partial && -s $partial.notes && ! -e out.raw ]] || fail "it was not kept"
expect 0 "was removed" ferry convert disk.raw out.raw
same out.raw disk.raw
no_leftovers

# A full disk: what was copied stays, and there is a way on.
leave() {
  umount mnt
}
mkdir mnt
mount -t tmpfs -o size=20m none mnt
trap 'finish leave' EXIT
expect 1 "No space left.*" ferry convert -j 1 --checkpoint-every 0.05 --rate-limit 40M disk.raw mnt/out.raw
expect 1 "what was copied is kept: go on with it by the same command and --resume" ferry convert -j 1 --checkpoint-every 0.05 --rate-limit 40M disk.raw mnt/out.raw
mount -o remount,size=100m mnt
expect 0 "that were there" ferry convert --resume disk.raw mnt/out.raw
same mnt/out.raw disk.raw

# A qcow2 image with its backing file.
qemu-img create -q -f qcow2 -b disk.raw -F raw over.qcow2
qemu-io -c "write -q -P 7 40M 1M" over.qcow2 >/dev/null
"$VMFERRY" convert -f qcow2 -j 1 --checkpoint-every 0.05 --rate-limit 20M over.qcow2 flat.raw >said 2>&1 &
run=$!
until_true 20 grep -Eq 'blocks.*[0-9a-f]{30}' .flat.raw.vmferry-partial.notes
kill -KILL "$run"
wait "$run" || true
cp .flat.raw.vmferry-partial.notes flat.notes
cp .flat.raw.vmferry-partial flat.partial
expect 0 "that were there" ferry convert -f qcow2 --resume over.qcow2 flat.raw
qemu-img compare -q -f qcow2 -F raw over.qcow2 flat.raw
rm flat.raw
mv flat.notes .flat.raw.vmferry-partial.notes
mv flat.partial .flat.raw.vmferry-partial
touch disk.raw
expect 1 "the source is not what was copied then" ferry convert -f qcow2 --resume over.qcow2 flat.raw
rm .flat.raw*

# AES: a wrong key is not noticed, so what was read with one is not mixed with what is read with another.
printf right >right
printf wrong >wrong
qemu-img convert -q -f raw -O qcow2 --object secret,id=key,file=right -o encrypt.format=aes,encrypt.key-secret=key disk.raw aes.qcow2
truncate -s %512 disk.raw
"$VMFERRY" convert -f qcow2 --key-file wrong -j 1 --checkpoint-every 0.05 --rate-limit 20M aes.qcow2 aes.raw >said 2>&1 &
run=$!
until_true 20 test -s .aes.raw.vmferry-partial
sleep 1
kill -KILL "$run"
wait "$run" || true
expect 0 "" ferry convert -f qcow2 --key-file right --resume aes.qcow2 aes.raw
same aes.raw disk.raw

expect 2 "a copy with --trim cannot be resumed" ferry convert --trim --resume disk.raw out2.raw
no_leftovers

# What others own or may write to, and what was never made to its end, is not gone on with.
not_adopted() {
  again
  "$@"
  [[ $(kept_bytes) == 0 ]] || fail "went on with it after: $*"
  same out.raw disk.raw
  no_leftovers
}
interrupted KILL
cp -r --reflink=never "$partial" keep.partial
cp "$partial.notes" keep.notes
not_adopted chmod 666 "$partial"
not_adopted chown 1234 "$partial"
not_adopted truncate -s 0 "$partial"
again
expect 2 "a copy of a source that is in use cannot be resumed" ferry convert --resume --source-in-use disk.raw out.raw
[[ -s $partial ]] || fail "it was not kept"
again
qemu-io -f raw -c "aio_write -P 1 90M 64k" "$partial" >/dev/null
ferry convert --resume disk.raw out.raw >/dev/null
same out.raw disk.raw

# A write that the disk failed is told of once: by the flush of a checkpoint, maybe.
rm out.raw
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
status=0
VMFERRY_FAULT="fdatasync:1:fail:EIO" LD_PRELOAD=$FAULTS "$VMFERRY" convert -j 1 --checkpoint-every 0.2 --rate-limit 20M disk.raw out.raw \
  >said 2>&1 || status=$?
[[ $status == 1 && ! -e out.raw ]] || fail "status $status: $(cat said)"
grep -q "Input/output error" said || fail "$(cat said)"
no_leftovers
