# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes that share a base: clones of a snapshot that hold only what differs, equal to the image whatever it is.
eval "$("$ROOT/tools/lab" env)"
pools=()
# A base goes after its clones.
tidy() {
  local volume pool
  for pool in "${pools[@]}"; do
    for volume in $(rbd ls "$pool"); do
      rbd rm --no-progress "$pool/$volume"
    done
    ceph osd pool rm "$pool" "$pool" --yes-i-really-really-mean-it
  done
  clear_volumes 'bs-[^g]'
  clear_volumes bs-
  ceph auth rm client.bs-reader
  ceph auth rm client.bs-stranger
}
trap 'finish tidy' EXIT

# 30 MB, not whole objects: data, zeros and a hole.
truncate -s 30000128 golden.raw
dd if=/dev/urandom of=golden.raw bs=1M count=12 conv=notrunc status=none
dd if=/dev/urandom of=golden.raw bs=1M count=6 seek=20 conv=notrunc status=none
dd if=/dev/urandom of=golden.raw bs=1 count=100 seek=30000000 conv=notrunc status=none
ferry convert -q golden.raw rbd:rbd/bs-golden
rbd snap create --no-progress rbd/bs-golden@v1
base=rbd:rbd/bs-golden@v1

# is_copy IMAGE VOLUME [qcow2]
is_copy() {
  local wanted=$1
  if [[ -v 3 ]]; then
    wanted=wanted.raw
    qemu-img convert -f "$3" -O raw "$1" "$wanted"
  fi
  rbd export --no-progress "$2" - | cmp - "$wanted" || fail "$2 is not $1"
}
# Bytes of objects.
used() {
  rbd du --format json "$1" | sed -E 's/.*"used_size":([0-9]+).*/\1/; s/.*"total_used_size":([0-9]+).*/\1/'
}
parent() {
  rbd info "$1" | sed -n 's/.*parent: //p'
}

# The base itself, over again: nothing is written.
expect 0 "0 bytes of data.* beside .* of its base" ferry convert --base $base golden.raw rbd:rbd/bs-same
is_copy golden.raw rbd/bs-same
[[ $(used rbd/bs-same) == 0 ]] || fail "$(rbd du rbd/bs-same)"
[[ $(parent rbd/bs-same) == rbd/bs-golden@v1 ]] || fail "$(rbd info rbd/bs-same)"

# A flat disk: a byte in one object, zeros over the base's data as a hole, stored, and beside data, and data where the base has none.
cp golden.raw flat.raw
printf X | dd of=flat.raw bs=1 seek=5000000 conv=notrunc status=none
fallocate -p -o $((8 << 20)) -l $((4 << 20)) flat.raw
dd if=/dev/zero of=flat.raw bs=1M count=2 seek=2 conv=notrunc status=none
dd if=/dev/urandom of=flat.raw bs=64K count=1 seek=$((17 * 16)) conv=notrunc status=none
expect 0 "verified by reading it back" ferry convert --verify --base $base flat.raw rbd:rbd/bs-flat
is_copy flat.raw rbd/bs-flat
[[ $(used rbd/bs-flat) == $((4 * 4 << 20)) ]] || fail "$(rbd du rbd/bs-flat)"
# Long zeros take no space in the objects, which are counted up to their last bytes.
exact=$(rbd du --exact --format json rbd/bs-flat | sed -E 's/.*"used_size":([0-9]+).*/\1/')
((exact <= (7 << 20) + 65536)) || fail "$exact"

# A larger and a smaller disk; the end is in the middle of an object of the base, and at another place than the base's.
cp golden.raw larger.raw
truncate -s 50M larger.raw
printf end | dd of=larger.raw bs=1 seek=$((50 * 1048576 - 3)) conv=notrunc status=none
ferry convert -q --verify --base $base larger.raw rbd:rbd/bs-larger
is_copy larger.raw rbd/bs-larger
head -c 9000000 golden.raw >smaller.raw
ferry convert -q --base $base smaller.raw rbd:rbd/bs-smaller
is_copy smaller.raw rbd/bs-smaller
truncate -s 30M smaller.raw # what was cut off is not seen again
rbd resize --no-progress -s 30M rbd/bs-smaller
is_copy smaller.raw rbd/bs-smaller

# Another layout than the base's, and an old volume that makes room.
ferry convert -q --object-size 1M --base $base flat.raw rbd:rbd/bs-layout
is_copy flat.raw rbd/bs-layout
ferry convert -q --force --object-size 8M --base $base flat.raw rbd:rbd/bs-layout
is_copy flat.raw rbd/bs-layout
expect 2 "does not divide the object size" ferry convert --force --stripe-unit 3M --stripe-count 2 --base $base flat.raw rbd:rbd/bs-layout
ferry convert -q --force --stripe-unit 64K --stripe-count 4 --base $base larger.raw rbd:rbd/bs-layout
is_copy larger.raw rbd/bs-layout

# Overlays: what they say nothing about is not read. The digest of the base is kept for the next one.
qemu-img create -q -f qcow2 -b golden.raw -F raw overlay.qcow2
qemu-io -c "write -P 7 1M 64K" -c "write -z 20M 4M" -c "discard 24M 64K" overlay.qcow2 >/dev/null
# Two objects with 4 and 2 MiB of data, less the 64 KiB that were discarded.
said=$(ferry convert --json -f qcow2 --base $base overlay.qcow2 rbd:rbd/bs-overlay)
is_copy overlay.qcow2 rbd/bs-overlay qcow2
[[ $said == *'"base":"'$base'"'* && $said == *'"written_bytes":6225920,'* ]] || fail "$said"
[[ $(rbd image-meta ls rbd/bs-golden) == *vmferry.digest.* ]] || fail "$(rbd image-meta ls rbd/bs-golden)"
[[ $(rbd image-meta ls rbd/bs-overlay) != *vmferry* ]] || fail "$(rbd image-meta ls rbd/bs-overlay)"
# An overlay that has grown, and one of two images that lie over one another.
qemu-img create -q -f qcow2 -b overlay.qcow2 -F qcow2 upper.qcow2 40M
qemu-io -c "write -P 9 10M 1M" -c "write -P 8 35M 1M" upper.qcow2 >/dev/null
ferry convert -q --verify -f qcow2 --base $base upper.qcow2 rbd:rbd/bs-upper
is_copy upper.qcow2 rbd/bs-upper qcow2
# Not over the base: all of it is compared.
cp golden.raw other.raw
printf Y | dd of=other.raw bs=1 seek=21000000 conv=notrunc status=none
qemu-img create -q -f qcow2 -b other.raw -F raw others.qcow2
expect 0 "no image below it is what $base holds" ferry convert -f qcow2 --base $base others.qcow2 rbd:rbd/bs-others
is_copy others.qcow2 rbd/bs-others qcow2
# A digest of a snapshot that was made anew is not believed.
ferry convert -q --base rbd:rbd/bs-golden@v1 golden.raw rbd:rbd/bs-again
rbd snap create --no-progress rbd/bs-again@v1
ferry convert -q -f qcow2 --base rbd:rbd/bs-again@v1 overlay.qcow2 rbd:rbd/bs-second
rbd rm --no-progress rbd/bs-second
rbd snap rm --no-progress rbd/bs-again@v1
qemu-io -f raw -c "write -P 3 0 64K" rbd:rbd/bs-again >/dev/null
rbd snap create --no-progress rbd/bs-again@v1
expect 0 "no image below it is" ferry convert -f qcow2 --base rbd:rbd/bs-again@v1 overlay.qcow2 rbd:rbd/bs-second
is_copy overlay.qcow2 rbd/bs-second qcow2
rbd rm --no-progress rbd/bs-second
rbd snap rm --no-progress rbd/bs-again@v1

# Twenty of one base take little more than one.
for n in $(seq 20); do
  qemu-img create -q -f qcow2 -b golden.raw -F raw "o$n.qcow2"
  qemu-io -c "write -P $n $((n % 7))M 128K" "o$n.qcow2" >/dev/null
  ferry convert -q -f qcow2 --base $base "o$n.qcow2" "rbd:rbd/bs-o$n"
  is_copy "o$n.qcow2" "rbd/bs-o$n" qcow2
  [[ $(used "rbd/bs-o$n") == $((4 << 20)) ]] || fail "$(rbd du "rbd/bs-o$n")"
done

# Other pools and namespaces, for the volume and for its data; verify_ec_test.sh has an erasure-coded one.
ceph osd pool create bs-other 8 >/dev/null 2>&1
pools+=(bs-other)
rbd pool init bs-other
rbd namespace create bs-other/tenant
ferry convert -q -f qcow2 --base $base overlay.qcow2 rbd:bs-other/bs-there
is_copy overlay.qcow2 bs-other/bs-there qcow2
ferry convert -q -f qcow2 --base $base overlay.qcow2 rbd:bs-other/tenant/bs-there
is_copy overlay.qcow2 bs-other/tenant/bs-there qcow2
rbd rm --no-progress bs-other/tenant/bs-there
ferry convert -q --data-pool bs-other --base $base flat.raw rbd:rbd/bs-data
is_copy flat.raw rbd/bs-data

# One user may read the base's pool, the other may not.
ceph auth get-or-create client.bs-reader mon 'profile rbd' osd 'profile rbd pool=bs-other, profile rbd-read-only pool=rbd' >keyring
ceph auth get-or-create client.bs-stranger mon 'profile rbd' osd 'profile rbd pool=bs-other' >>keyring
ferry convert -q --id bs-reader --keyring keyring -f qcow2 --base $base overlay.qcow2 rbd:bs-other/bs-mine
is_copy overlay.qcow2 bs-other/bs-mine qcow2
expect 1 "$base: open the base: Operation not permitted" ferry convert --id bs-stranger --keyring keyring --base $base flat.raw rbd:bs-other/bs-no

# What cannot be a base.
expect 2 "it is a volume, which may change" ferry convert --base rbd:rbd/bs-golden flat.raw rbd:rbd/bs-no
expect 2 "rbd snap create rbd/bs-golden@v1" ferry convert --base rbd:rbd/bs-golden flat.raw rbd:rbd/bs-no
expect 1 "no such snapshot" ferry convert --base rbd:rbd/bs-golden@v2 flat.raw rbd:rbd/bs-no
expect 1 "no such volume" ferry convert --base rbd:rbd/bs-nothing@v1 flat.raw rbd:rbd/bs-no
expect 1 "there is no pool 'nosuch'" ferry convert --base rbd:nosuch/golden@v1 flat.raw rbd:rbd/bs-no
expect 2 "no snapshot of an RBD volume" ferry convert --base golden.raw flat.raw rbd:rbd/bs-no
expect 2 "only an RBD volume can share a base" ferry convert --base $base flat.raw no.raw
expect 2 "cannot be resumed" ferry convert --resume --base $base flat.raw rbd:rbd/bs-no
expect 2 "reached as the target is" ferry convert --base $base:conf=other.conf flat.raw rbd:rbd/bs-no
expect 2 "compared with a base" ferry convert --base $base - rbd:rbd/bs-no <flat.raw
expect 2 "needs the feature layering" ferry convert --features exclusive-lock --base $base flat.raw rbd:rbd/bs-no
expect 2 "no data pool 'nosuch'" ferry convert --data-pool nosuch --base $base flat.raw rbd:rbd/bs-no
rbd create -s 1M --image-feature exclusive-lock rbd/bs-plain
rbd snap create --no-progress rbd/bs-plain@v1
expect 1 "lacks the feature layering" ferry convert --base rbd:rbd/bs-plain@v1 flat.raw rbd:rbd/bs-no
rbd snap purge --no-progress rbd/bs-plain
rbd trash mv rbd/bs-plain
expect 1 "the volume is in the trash" ferry convert --base rbd:rbd/bs-plain@v1 flat.raw rbd:rbd/bs-no
rbd trash purge --no-progress rbd >/dev/null
! rbd ls | grep -q bs-no || fail "$(rbd ls)"

# A kernel follows 16 parents.
parent=golden
for name in deep{1..16}; do
  rbd snap create --no-progress "rbd/bs-$parent@deep"
  rbd clone --rbd-default-clone-format 2 "rbd/bs-$parent@deep" "rbd/bs-$name"
  parent=$name
done
rbd snap create --no-progress rbd/bs-deep16@deep
ferry convert -q --base rbd:rbd/bs-deep15@deep flat.raw rbd:rbd/bs-high
is_copy flat.raw rbd/bs-high
expect 1 "it has 16 parents, one below the other" ferry convert --base rbd:rbd/bs-deep16@deep flat.raw rbd:rbd/bs-no
rbd rm --no-progress rbd/bs-high
for name in deep{16..1} golden; do
  rbd snap rm --no-progress "rbd/bs-$name@deep"
  [[ $name == golden ]] || rbd rm --no-progress "rbd/bs-$name"
done

# Interrupted: nothing is left, though it was under way.
truncate -s 40M random.raw
dd if=/dev/urandom of=random.raw bs=1M count=40 conv=notrunc status=none
status=0
"$VMFERRY" convert -q --rate-limit 4M --checkpoint-every 0.05 --base $base random.raw rbd:rbd/bs-cut 2>said &
run=$!
is_under_way() {
  (($(used rbd/bs-cut.vmferry-partial) > 0))
}
until_true 20 is_under_way
kill -INT "$run"
wait "$run" || status=$?
[[ $status == 130 ]] || fail "$status: $(cat said)"
! rbd ls | grep -q bs-cut || fail "$(rbd ls)"
