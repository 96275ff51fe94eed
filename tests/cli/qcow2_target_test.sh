# SPDX-License-Identifier: LGPL-2.1-or-later
#
# qcow2 as a target: QEMU reads what the source holds, finds nothing wrong with it, and a failure leaves nothing.

# sound IMAGE: qemu-img finds neither errors nor leaks. What it allows (a cluster's last bytes are missing) we do not use.
sound() {
  local said
  said=$(qemu-img check --output json "$1") || fail "qemu-img check $1: $said"
  ! grep -Eq '"(leaks|corruptions)"|"check-errors": [^0]' <<<"$said" || fail "qemu-img check $1: $said"
  (($(stat -c %s "$1") % $(value "$1" cluster-size) == 0)) || fail "$1 ends within a cluster"
}
# value IMAGE NAME: a number of qemu-img info.
value() {
  qemu-img info --output json "$1" | grep -o "\"$2\": [0-9]*" | head -n 1 | grep -o '[0-9]*$'
}
# made DISK IMAGE OPTION...: an image that holds what DISK does, for QEMU and for us.
made() {
  local disk=$1 image=$2
  shift 2
  rm -f "$image"
  ferry convert -q -f raw -O qcow2 "$@" "$disk" "$image"
  sound "$image"
  qemu-img compare -q -f raw -F qcow2 "$disk" "$image" || fail "QEMU sees another disk: $*"
  ferry compare -q -f raw -F qcow2 --ignore-trailing-zeros "$disk" "$image" || fail "another disk: $*"
}

make_disk disk.raw
for size in 512 4096 64K 2M; do
  for how in "" "--compress zlib" "--compress zstd"; do
    # shellcheck disable=SC2086 # words
    made disk.raw out.qcow2 $how --cluster-size $size --verify
    # QEMU cuts off what does not fill a sector; so does nobody now.
    [[ $(value out.qcow2 virtual-size) == 20000256 ]] || fail "virtual size $(value out.qcow2 virtual-size)"
  done
done
no_leftovers
# The same as the oracle has it, but for the size of the file.
made disk.raw out.qcow2 --compress zlib
qemu-img convert -q -c -O qcow2 disk.raw oracle.qcow2
for image in out oracle; do
  qemu-img info $image.qcow2 | grep -vE '^(image|disk size)' | sed "s/$image//" >$image.info
  qemu-img map --output json $image.qcow2 | sed 's/, "offset": [0-9]*//' >$image.map
done
diff oracle.info out.info
diff oracle.map out.map
ferry map --json out.qcow2 | sed 's/, "offset": [0-9]*//' >own.map
as_old_qemu own.map out.map
diff own.map out.map
expect 0 '"compression_type":"zstd"' ferry info --json "$(made disk.raw z.qcow2 --compress zstd && echo z.qcow2)"

# Levels: the highest is smaller. Text, so that there is something to find.
seq 1 300000 >text.raw
for type in zlib zstd; do
  made text.raw low.qcow2 --compress $type --compression-level 1
  made text.raw high.qcow2 --compress $type --compression-level 9
  (($(allocated high.qcow2) < $(allocated low.qcow2))) || fail "$type: level 9 is no smaller"
done

# Sizes of nothing, one byte, more than a sector, a whole cluster.
for size in 0 1 513 65536; do
  rm -f s.raw
  truncate -s $size s.raw
  ((size == 0)) || printf x | dd of=s.raw bs=1 seek=$((size - 1)) conv=notrunc status=none
  made s.raw s.qcow2
  made s.raw s.qcow2 --compress zstd
done

# Holes cost nothing, however many; with some data here and there.
qemu-img create -q -f qcow2 holes.qcow2 64T
ferry convert -q -O qcow2 holes.qcow2 large.qcow2
sound large.qcow2
qemu-img compare -q holes.qcow2 large.qcow2
(($(allocated large.qcow2) < 200000)) || fail "64 TiB of hole take $(allocated large.qcow2) bytes"
qemu-io -c "write -q 0 512" -c "write -q 3T 512" -c "write -q 70368744177152 512" holes.qcow2 >/dev/null
ferry convert -q --force --verify -O qcow2 --compress zlib holes.qcow2 large.qcow2
sound large.qcow2
qemu-img compare -q holes.qcow2 large.qcow2
(($(allocated large.qcow2) < 400000)) || fail "64 TiB with three sectors take $(allocated large.qcow2) bytes"

# From an image of QEMU's with a chain, into a copy that needs none; and a sparse copy.
qemu-img create -q -f qcow2 -b disk.raw -F raw over.qcow2
qemu-io -c "write -q -P 7 9M 1M" over.qcow2 >/dev/null
ferry convert -q -f qcow2 -O qcow2 --compress zstd over.qcow2 flat.qcow2
qemu-img compare -q over.qcow2 flat.qcow2
sound flat.qcow2
expect 0 "saved" ferry sparsify -O qcow2 --compress zstd --cluster-size 4K disk.raw thin.qcow2
qemu-img compare -q -f raw -F qcow2 disk.raw thin.qcow2
sound thin.qcow2
(($(allocated thin.qcow2) < 4000000)) || fail "zeros were stored"

# From a pipe, if the size is known.
ferry convert -q -O qcow2 --compress zstd --verify --size "$(stat -c %s disk.raw)" - pipe.qcow2 < <(cat disk.raw)
qemu-img compare -q -f raw -F qcow2 disk.raw pipe.qcow2
sound pipe.qcow2
expect 2 "the size of the disk has to be known before its image is made" ferry convert -O qcow2 - x.qcow2 < <(cat disk.raw)
expect 2 "is not a file, and a qcow2 image is made in a file only" ferry convert -O qcow2 disk.raw null:

# The digest is that of the disk; the report tells of it.
expect 0 "$(ferry convert --digest disk.raw d.raw | grep digest:)" ferry convert --digest -O qcow2 --compress zlib disk.raw d.qcow2

# What cannot be.
truncate -s 200G large.raw
expect 2 "a disk of 200 GiB is too large for clusters of 512" ferry convert -O qcow2 --cluster-size 512 large.raw x.qcow2
expect 2 "clusters of 3 KiB are not possible" ferry convert -O qcow2 --cluster-size 3K none.raw x.qcow2
expect 2 "clusters of 4 MiB are not possible" ferry convert -O qcow2 --cluster-size 4M none.raw x.qcow2
expect 2 "its compression has no level 10" ferry convert -O qcow2 --compress zlib --compression-level 10 none.raw x.qcow2
expect 2 "a level is given, but no compression" ferry convert -O qcow2 --compression-level 1 none.raw x.qcow2
expect 2 "a raw image has no clusters" ferry convert --compress zstd none.raw x.raw
expect 2 "cannot be resumed" ferry convert -O qcow2 --resume none.raw x.qcow2
expect 2 "shares no blocks with the source" ferry convert -O qcow2 --reflink always none.raw x.qcow2
expect 2 "is not a file, and a qcow2 image is made in a file only" ferry convert -O qcow2 none.raw rbd:rbd/x
expect 2 "are about a target" ferry sparsify --in-place -O qcow2 disk.raw
expect 1 "the file exists" ferry convert -O qcow2 disk.raw flat.qcow2
sound flat.qcow2
device=$(losetup --find --show disk.raw)
leave() {
  losetup --detach "$device"
  umount mnt
}
trap 'finish leave' EXIT
expect 2 "is a block device, and an image of that format is made in a file only" ferry convert -O qcow2 --force text.raw "$device"

# Killed, or the disk is full: nothing under its name, and the next run clears up.
"$VMFERRY" convert -q -O qcow2 --rate-limit 2M disk.raw killed.qcow2 &
run=$!
until_true 10 test -s .killed.qcow2.vmferry-partial
kill -KILL $run
wait $run || true
[[ ! -e killed.qcow2 && -s .killed.qcow2.vmferry-partial ]] || fail "a name in spite of a kill"
! qemu-img info -f qcow2 .killed.qcow2.vmferry-partial 2>said || fail "half an image is one"
made disk.raw killed.qcow2
mkdir mnt
mount -t tmpfs -o size=2m none mnt
expect 1 "mnt/full.qcow2: write at .*: No space left on device" ferry convert -O qcow2 disk.raw mnt/full.qcow2
[[ -z $(ls -A mnt) ]] || fail "left: $(ls -A mnt)"
no_leftovers
