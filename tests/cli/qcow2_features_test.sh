# SPDX-License-Identifier: LGPL-2.1-or-later
# Every feature of qcow2 that qemu-img can make, in turn: convert and compare, with qemu-img as the oracle.
make_disk disk.raw
truncate -s 20000256 disk.raw # a multiple of 512: QEMU cuts other sizes

# check IMAGE [OPTION...]: convert and compare against what qemu-img reads; QEMU says how it has to be told.
check() {
  local image=$1 arguments
  shift
  rm -f out.raw want.raw
  arguments=("${QEMU[@]}")
  ((${#QEMU[@]} > 0)) || arguments=(-f qcow2 "$image")
  qemu-img convert "${arguments[@]}" -O raw want.raw
  ferry convert -q -f qcow2 "$@" "$image" out.raw
  same want.raw out.raw
  ferry compare -q -f qcow2 "$@" "$image" want.raw
}
QEMU=()

# Data, zeros over data, zeros over nothing, holes, writes smaller than a cluster.
scribble() {
  qemu-io "${@:2}" -c 'write -P 1 0 100k' -c 'write -P 2 1000k 3k' -c 'write -z 20k 64k' -c 'write -z 5M 3M' \
    -c 'write -P 3 6M 5000' -c 'discard 2M 1M' -c 'write -P 4 12345344 70000' "$1" >/dev/null
}

for cluster in 512 1k 2k 8k 16k 64k 256k 1M 2M; do
  qemu-img create -q -f qcow2 -o "cluster_size=$cluster" sizes.qcow2 19999744
  scribble sizes.qcow2
  check sizes.qcow2
done

for bits in 1 2 4 8 16 32 64; do
  qemu-img convert -O qcow2 -o "refcount_bits=$bits" disk.raw refcount.qcow2
  check refcount.qcow2
done

for mode in off metadata falloc full; do
  qemu-img create -q -f qcow2 -o "preallocation=$mode" prealloc.qcow2 16M
  check prealloc.qcow2
  scribble prealloc.qcow2
  check prealloc.qcow2
  rm prealloc.qcow2
  qemu-img create -q -f qcow2 -o "preallocation=$mode,extended_l2=on" prealloc.qcow2 16M
  scribble prealloc.qcow2
  check prealloc.qcow2
done

# Subclusters: over nothing, over a backing file that ends inside one, compressed, of the smallest and largest clusters.
for cluster in 16k 64k 2M; do
  qemu-img create -q -f qcow2 -o "extended_l2=on,cluster_size=$cluster" sub.qcow2 20000256
  scribble sub.qcow2
  check sub.qcow2
  qemu-img create -q -f qcow2 -o "extended_l2=on,cluster_size=$cluster" -F raw -b disk.raw over.qcow2 30M
  scribble over.qcow2
  qemu-io -c 'write -z 19990k 40k' -c 'write -z -u 7M 4k' over.qcow2 >/dev/null
  check over.qcow2
  for type in zlib zstd; do
    qemu-img convert -c -O qcow2 -o "extended_l2=on,cluster_size=$cluster,compression_type=$type" disk.raw packed.qcow2
    check packed.qcow2
    scribble packed.qcow2
    check packed.qcow2
  done
done

# A disk that was never closed: lazy refcounts and the dirty bit. It is read, with a note.
qemu-img create -q -f qcow2 -o lazy_refcounts=on dirty.qcow2 16M
qemu-io -c 'write -P 5 1M 1M' -c 'abort' dirty.qcow2 >/dev/null 2>&1 || true
expect 0 "dirty bit" ferry convert -f qcow2 dirty.qcow2 dirty.raw
qemu-img convert -U -f qcow2 -O raw dirty.qcow2 want.raw
same dirty.raw want.raw

# Marked as corrupt: only if the user insists.
qemu-img convert -O qcow2 disk.raw corrupt.qcow2
printf '\2' | dd of=corrupt.qcow2 bs=1 seek=79 conv=notrunc status=none
expect 1 "hint: .*--force-corrupt" ferry convert -f qcow2 corrupt.qcow2 no.raw
expect 0 "marked as corrupt, and read all the same" ferry convert -f qcow2 --force-corrupt corrupt.qcow2 corrupt.raw
same disk.raw corrupt.raw

# Bitmaps change nothing.
qemu-img convert -O qcow2 disk.raw bitmaps.qcow2
qemu-img bitmap --add bitmaps.qcow2 one
qemu-img bitmap --add --disable -g 1M bitmaps.qcow2 two
scribble bitmaps.qcow2
check bitmaps.qcow2

# Data in another file, which the user has to allow.
for raw in off on; do
  rm -f data.raw
  qemu-img create -q -f qcow2 -o "data_file=data.raw,data_file_raw=$raw" external.qcow2 20000256
  scribble external.qcow2
  check external.qcow2 --allow-file .
  qemu-img create -q -f qcow2 -F qcow2 -b external.qcow2 onexternal.qcow2
  check onexternal.qcow2 --allow-file data.raw
  expect 1 "hint: .*--allow-file $PWD/data.raw" ferry convert -f qcow2 external.qcow2 no.raw
  expect 1 "only probed" ferry convert external.qcow2 no.raw
done
rm data.raw
qemu-img create -q -f qcow2 -o "data_file=data.raw,extended_l2=on" external.qcow2 20000256
scribble external.qcow2
check external.qcow2 --allow-file .
mkdir elsewhere
cp data.raw elsewhere/
qemu-img amend -f qcow2 -o data_file=elsewhere/data.raw external.qcow2
check external.qcow2 --allow-file elsewhere

# Snapshots: names and ids collide, the disk shrinks and grows, and data is shared.
qemu-img convert -O qcow2 disk.raw snap.qcow2
qemu-img snapshot -c 2 snap.qcow2 # id 1, name 2
scribble snap.qcow2
qemu-img snapshot -c 1 snap.qcow2  # id 2, name 1
qemu-img resize -q snap.qcow2 600M # a longer L1 table than the snapshots have
qemu-io -c 'write -P 9 550M 64k' -c 'write -z 0 2M' snap.qcow2 >/dev/null
qemu-img snapshot -c last snap.qcow2
for name in 1 2 last; do
  QEMU=(-f qcow2 -l "snapshot.name=$name" snap.qcow2)
  check snap.qcow2 --snapshot "$name"
done
for id in 1 2 3; do
  QEMU=(-f qcow2 -l "snapshot.id=$id" snap.qcow2)
  check snap.qcow2 --snapshot-id "$id"
done
check snap.qcow2 --snapshot last --snapshot-id 3
QEMU=()
check snap.qcow2
expect 1 "none with the name 'last'" ferry convert -f qcow2 --snapshot last --snapshot-id 1 snap.qcow2 no.raw
expect 1 "the images differ" ferry compare -f qcow2 -F qcow2 --snapshot 1 --snapshot-b 2 snap.qcow2 snap.qcow2
ferry compare -q -f qcow2 -F qcow2 --snapshot 1 --snapshot-id-b 2 snap.qcow2 snap.qcow2
expect 2 "only qcow2 images have snapshots" ferry convert --snapshot 1 disk.raw no.raw

# Chains: deep, with json: and file: names, with and without a stored format.
qemu-img create -q -f qcow2 -o cluster_size=4k -F raw -b disk.raw 0.qcow2 20000256
for i in {1..64}; do
  qemu-img create -q -f qcow2 -o cluster_size=4k -u -F qcow2 -b $((i - 1)).qcow2 "$i.qcow2" 20000256
  qemu-io -c "write -P $i $((i * 300))k 5k" "$i.qcow2" >/dev/null
done
check 64.qcow2
qemu-img create -q -f qcow2 -o cluster_size=4k -u -F qcow2 -b file:64.qcow2 file.qcow2 20000256
check file.qcow2
for name in 'json:{"driver":"qcow2","file":{"driver":"file","filename":"3.qcow2"}}' \
  'json:{"driver":"qcow2","file.driver":"file","file.filename":"3.qcow2","file.locking":"off"}' \
  'json:{"driver":"raw","file":{"driver":"file","filename":"disk.raw"}}'; do
  qemu-img create -q -f qcow2 -u -b "$name" -F "$(grep -oE 'qcow2|raw' <<<"$name" | head -1)" json.qcow2 20000256
  check json.qcow2
done
# Without a stored format the base is probed, and then opens nothing of its own. QEMU no longer makes such images.
forget_format() {
  LC_ALL=C sed -i 's/\xe2\x79[*]\xca/\xe2\x79*\xcb/' "$1" # the extension becomes an unknown one
}
qemu-img create -q -f qcow2 -F raw -b disk.raw probed.qcow2 20000256
forget_format probed.qcow2
check probed.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b 3.qcow2 probed.qcow2 20000256
forget_format probed.qcow2
expect 1 "format of the image was only probed|only probed as qcow2" ferry convert -f qcow2 probed.qcow2 no.raw
check probed.qcow2 --allow-file .

# Encrypted, in every way that QEMU offers and OpenSSL knows.
printf 'correct horse' >key
encrypted() { # IMAGE [OPTION...]
  QEMU=(--object "secret,id=key,file=key" --image-opts "driver=qcow2,file.filename=$1,encrypt.key-secret=key")
  check "$1" --key-file key "${@:2}"
  QEMU=()
}
scribble_encrypted() {
  scribble "driver=qcow2,file.filename=$1,encrypt.key-secret=key" --object secret,id=key,file=key --image-opts
}
# create_luks IMAGE [QCOW2-OPTIONS [OPTION-OF-CRYPTSETUP...]]
create_luks() {
  truncate -s 3M luks
  cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --cipher aes-xts-plain64 --key-size 512 "${@:3}" luks key
  qemu-img create -q -f qcow2 ${2:+-o "$2"} "$1" 20000256
  python3 "$ROOT/tests/cli/qcow2/luks.py" "$1" luks
  qemu-img check -q -r all --object secret,id=key,file=key --image-opts "driver=qcow2,file.filename=$1,encrypt.key-secret=key" >repaired 2>&1 ||
    fail "QEMU does not know it: $(tail -n 3 repaired)"
}
check_encrypted() {
  scribble_encrypted secret.qcow2
  encrypted secret.qcow2 --allow-file data.raw
  rm -f secret.qcow2
}
for options in encrypt.format=aes encrypt.format=aes,cluster_size=512; do
  qemu-img create -q --object secret,id=key,file=key -f qcow2 -o "$options,encrypt.key-secret=key" secret.qcow2 20000256
  check_encrypted
done
for options in "" cluster_size=512 extended_l2=on data_file=data.raw; do
  create_luks secret.qcow2 "$options"
  check_encrypted
done
for cipher in "aes-xts-plain64 256" "aes-cbc-plain64 256" "aes-cbc-essiv:sha256 256" "aes-xts-plain 512"; do
  create_luks secret.qcow2 "" --cipher "${cipher% *}" --key-size "${cipher#* }" --hash sha1
  check_encrypted
done
rm data.raw

create_luks secret.qcow2 data_file=data.raw
expect 1 "hint: pass --key-file" ferry convert -f qcow2 --allow-file . secret.qcow2 no.raw
rm data.raw secret.qcow2
create_luks secret.qcow2
scribble_encrypted secret.qcow2
printf 'correct horse\n' >newline
expect 1 "opens none of its key slots" ferry convert -f qcow2 --key-file newline secret.qcow2 no.raw
: >empty
expect 2 "it is empty" ferry convert -f qcow2 --key-file empty secret.qcow2 no.raw
qemu-img snapshot --image-opts -c was "driver=qcow2,file.filename=secret.qcow2,encrypt.key-secret=key" \
  --object secret,id=key,file=key
scribble_encrypted secret.qcow2
encrypted secret.qcow2
create_luks serpent.qcow2
LC_ALL=C sed -i 's/aes\x00\x00\x00\x00/serpent/' serpent.qcow2 # neither this kernel nor OpenSSL need know it
expect 1 "the cipher serpent-xts-plain64 with 512 bits of key is not known" \
  ferry convert -f qcow2 --key-file key serpent.qcow2 no.raw

# Disks of no size and of odd ones; of 64 TiB with 1 MiB of data.
qemu-img create -q -f qcow2 empty.qcow2 0
ferry convert -q -f qcow2 empty.qcow2 empty.raw
[[ $(stat -c %s empty.raw) == 0 ]] || fail "an empty disk has bytes"
qemu-img create -q -f qcow2 odd.qcow2 1M
qemu-io -c 'write -P 6 0 1M' odd.qcow2 >/dev/null
printf '\0\17\102\101' | dd of=odd.qcow2 bs=1 seek=28 conv=notrunc status=none # 1000001 bytes
ferry convert -q -f qcow2 odd.qcow2 odd.raw
[[ $(stat -c %s odd.raw) == 1000001 ]] || fail "the size was rounded"
qemu-img create -q -f qcow2 huge.qcow2 64T
qemu-io -c 'write -P 7 40T 1M' huge.qcow2 >/dev/null
ferry compare -q -f qcow2 -F qcow2 huge.qcow2 huge.qcow2

[[ ! -e no.raw ]] || fail "a refused image left a target"
