# SPDX-License-Identifier: LGPL-2.1-or-later
# qcow2 of every kind that is read so far; qemu-img is the oracle.
make_disk disk.raw
truncate -s 20000256 disk.raw # a multiple of 512: QEMU cuts other sizes

check() { # IMAGE [OPTION...]
  local image=$1
  shift
  rm -f out.raw want.raw
  ferry convert -q "$@" "$image" out.raw
  qemu-img convert -O raw "$image" want.raw
  same want.raw out.raw
  ferry compare -q "$@" "$image" want.raw
}

for options in compat=0.10 compat=1.1 cluster_size=512 cluster_size=2M preallocation=metadata \
  preallocation=full lazy_refcounts=on refcount_bits=1; do
  qemu-img convert -O qcow2 -o "$options" disk.raw plain.qcow2
  check plain.qcow2
done
for cluster in 512 4096 65536 2097152; do
  for type in zlib zstd; do
    qemu-img convert -c -O qcow2 -o "cluster_size=$cluster,compression_type=$type" disk.raw packed.qcow2
    check packed.qcow2
  done
done

# Zero clusters hide the backing file; a shorter backing file ends in zeros; a longer one is cut.
qemu-img create -q -f qcow2 -F qcow2 -b packed.qcow2 overlay.qcow2 30M
qemu-io -c 'write -P 7 1M 100k' -c 'write -z 64k 192k' -c 'write -z -u 15M 64k' overlay.qcow2 >/dev/null
check overlay.qcow2 -f qcow2
qemu-img create -q -f qcow2 -F qcow2 -b overlay.qcow2 top.qcow2 7M
qemu-io -c 'write -P 9 3M 3k' top.qcow2 >/dev/null
check top.qcow2 -f qcow2
qemu-img create -q -f qcow2 -F qcow2 -b top.qcow2 longer.qcow2 40M
check longer.qcow2 -f qcow2
qemu-img create -q -f qcow2 -F raw -b disk.raw onraw.qcow2
check onraw.qcow2 -f qcow2

# What was only probed opens no other file; what was named, only its own directory.
expect 1 "only probed as qcow2" ferry convert overlay.qcow2 no.raw
expect 1 "hint: pass -f qcow2" ferry convert overlay.qcow2 no.raw
mkdir inner elsewhere
cp disk.raw elsewhere/base.raw
qemu-img create -q -f qcow2 -F raw -b ../elsewhere/base.raw inner/o.qcow2
expect 1 "outside the image's own directory" ferry convert -f qcow2 inner/o.qcow2 no.raw
expect 1 "hint: .*--allow-file /.*/elsewhere/base.raw" ferry convert -f qcow2 inner/o.qcow2 no.raw
check inner/o.qcow2 -f qcow2 --allow-file "$PWD/elsewhere"
[[ ! -e no.raw ]] || fail "a refused image left a target"

# A raw disk into which a guest wrote a header of qcow2: named raw, it is raw.
cp overlay.qcow2 guest.raw
ferry convert -q -f raw guest.raw guest-copy.raw
same guest.raw guest-copy.raw
