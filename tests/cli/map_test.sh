# SPDX-License-Identifier: LGPL-2.1-or-later
# Maps equal those of qemu-img, byte for byte; qemu-img is the oracle.
make_disk disk.raw
truncate -s 20000256 disk.raw # a multiple of 512: QEMU rounds other sizes

# XFS reserves more than is written, and calls that data as soon as it was read: so an image without.
without_reserve() { # IMAGE
  truncate -s "$(stat -c %s "$1")" copy
  dd if="$1" of=copy bs=4k conv=notrunc,sparse status=none
  mv copy "$1"
}

same_map() { # IMAGE FORMAT
  qemu-img map --output=json -f "$2" "$1" >want.json
  ferry map --json -f "$2" "$1" >got.json
  as_old_qemu got.json want.json
  cmp want.json got.json || {
    diff want.json got.json | head -20 >&2
    fail "the map of $1"
  }
}

same_map disk.raw raw
for options in compat=0.10 compat=1.1 cluster_size=512 cluster_size=2M preallocation=metadata \
  preallocation=falloc preallocation=full lazy_refcounts=on refcount_bits=1 refcount_bits=64; do
  rm -f plain.qcow2
  qemu-img convert -O qcow2 -o "$options" disk.raw plain.qcow2
  same_map plain.qcow2 qcow2
done
for cluster in 512 4096 65536 2097152; do
  qemu-img convert -c -O qcow2 -o "cluster_size=$cluster" disk.raw packed.qcow2
  same_map packed.qcow2 qcow2
done

# Places that are set aside, and holes inside of clusters.
for bits in 1 2 8 16 64; do
  qemu-img create -q -f qcow2 -o preallocation=metadata,refcount_bits=$bits set-aside.qcow2 8M
  qemu-io -c 'write -P 3 512k 1k' -c 'write -z 2M 128k' -c 'discard 5M 64k' set-aside.qcow2 >/dev/null
  without_reserve set-aside.qcow2
  same_map set-aside.qcow2 qcow2
done

# Subclusters, with some that have a place and no data.
qemu-img create -q -f qcow2 -o extended_l2=on sub.qcow2 4M
qemu-io -c 'write -P 1 100k 6k' -c 'write -P 2 1M 200k' -c 'write -z 1100k 20k' -c 'discard 1200k 10k' sub.qcow2 >/dev/null
same_map sub.qcow2 qcow2
qemu-img create -q -f qcow2 -F qcow2 -b sub.qcow2 -o extended_l2=on sub2.qcow2 6M
qemu-io -c 'write -P 3 1030k 4k' -c 'write -P 3 5M 4k' sub2.qcow2 >/dev/null
same_map sub2.qcow2 qcow2

# A chain of three: zero clusters, a short image in the middle, a longer one on top.
qemu-img create -q -f qcow2 base.qcow2 5M
qemu-io -c 'write -P 1 0 1M' -c 'write -P 2 3M 64k' -c 'write -z 2M 64k' base.qcow2 >/dev/null
qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 middle.qcow2 3M
qemu-io -c 'write -P 3 512k 128k' -c 'write -z 64k 64k' -c 'write -z -u 192k 64k' middle.qcow2 >/dev/null
qemu-img create -q -f qcow2 -F qcow2 -b middle.qcow2 top.qcow2 8M
qemu-io -c 'write -P 5 6M 64k' -c 'write -P 5 100k 8k' top.qcow2 >/dev/null
same_map middle.qcow2 qcow2
same_map top.qcow2 qcow2
qemu-img create -q -f qcow2 -F raw -b disk.raw onraw.qcow2 30M
qemu-io -c 'write -P 7 5M 70k' onraw.qcow2 >/dev/null
same_map onraw.qcow2 qcow2

# No bytes at all.
qemu-img create -q -f qcow2 empty.qcow2 0
truncate -s 0 empty.raw
same_map empty.qcow2 qcow2
same_map empty.raw raw

# The size of a raw disk is told to the byte.
truncate -s 3000001 odd.raw
expect 0 '"start": 0, "length": 3000001, "depth": 0, "present": true, "zero": true' ferry map --json odd.raw

# Random images; the seed is told so that a failure can be had again.
seed=${VMFERRY_SEED:-$RANDOM}
echo "seed $seed"
RANDOM=$seed
for round in 1 2 3 4 5 6; do
  cluster=$((1 << (9 + RANDOM % 9)))
  qemu-img create -q -f qcow2 -o "cluster_size=$cluster" r0.qcow2 $((RANDOM % 3000 * 1024 + 512))
  qemu-img create -q -f qcow2 -F qcow2 -b r0.qcow2 r1.qcow2 $((RANDOM % 3000 * 1024 + 512))
  qemu-img create -q -f qcow2 -F qcow2 -b r1.qcow2 r2.qcow2 $((RANDOM % 3000 * 1024 + 512))
  for image in r0 r1 r2; do
    size=$(qemu-img info --output=json $image.qcow2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["virtual-size"])')
    commands=()
    for step in 1 2 3 4 5 6 7 8; do
      at=$((RANDOM * 32768 + RANDOM))
      at=$((at % size / 512 * 512))
      length=$((RANDOM * 8 % (size - at) / 512 * 512 + 512))
      ((length <= size - at)) || length=$((size - at))
      case $((RANDOM % 4)) in
        0) commands+=(-c "write -z $at $length") ;;
        1) commands+=(-c "discard $at $length") ;;
        *) commands+=(-c "write -P $step $at $length") ;;
      esac
    done
    qemu-io "${commands[@]}" $image.qcow2 >/dev/null
    same_map $image.qcow2 qcow2
  done
done

# As a table.
ferry map -f qcow2 top.qcow2 >table
grep -Eq '^ *offset +length +kind +depth +in file at +file$' table || fail "no heading: $(cat table)"
grep -Eq '^ *6291456 +65536 +data +0 +[0-9]+ +top.qcow2$' table || fail "no top: $(cat table)"
grep -Eq '^ *196608 +65536 +zero +1 +- +.*middle.qcow2$' table || fail "no zero: $(cat table)"
grep -Eq '^ *3145728 +[0-9]+ +hole +0 +- +-$' table || fail "no hole: $(cat table)"
[[ $(ferry map packed.qcow2 | grep -c ' compressed ') -gt 0 ]] || fail "nothing compressed"

# A large disk with little in it takes a moment and little memory, as raw and as qcow2.
qemu-img create -q -f qcow2 huge.qcow2 64T
qemu-io -c 'write -P 1 40T 1M' huge.qcow2 >/dev/null
/usr/bin/time -f '%e %M' -o cost "$VMFERRY" map --json huge.qcow2 >huge.json
read -r seconds kilobytes <cost
[[ $(wc -l <huge.json) == 3 ]] || fail "not three extents"
python3 -c "import sys; sys.exit(not $seconds < 1)" || fail "64 TiB took $seconds s"
((kilobytes < 100000)) || fail "64 TiB took $kilobytes KiB"
[[ $(ferry map --view picture huge.qcow2 | grep -c '░\|-') -gt 0 ]] || fail "1 MiB of 64 TiB is not seen"

# Who reads the map may have had enough.
expect 1 "standard output: write: (Broken pipe|No space)" bash -c "'$VMFERRY' map --json packed.qcow2 >/dev/full"

expect 1 "only probed as qcow2" ferry map top.qcow2
expect 1 "No such file" ferry map none.raw
expect 2 "see 'vmferry map --help'" ferry map
expect 2 "3d not in" ferry map --view 3d disk.raw
