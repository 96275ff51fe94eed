# SPDX-License-Identifier: LGPL-2.1-or-later
# Files to RBD volumes and back, on a real Ceph; rbd export, rbd info and rbd du are the oracles.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes cv-"' EXIT
holds() { # VOLUME FILE
  rbd export --no-progress "rbd/$1" - | cmp - "$2" || fail "$1 holds something else than $2"
}
used() {
  rbd du --format json "rbd/$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["used_size"])'
}

make_disk disk.raw
ferry convert -q --verify disk.raw rbd:rbd/cv-1
holds cv-1 disk.raw
[[ $(rbd info --format json rbd/cv-1 | python3 -c 'import json,sys; print(json.load(sys.stdin)["size"])') == 20000001 ]] || fail "not the exact size"
ferry compare -q disk.raw rbd:rbd/cv-1

# Zeros take no objects, however they are stored.
dd if=/dev/zero of=zeros.raw bs=1M count=32 status=none
ferry convert -q zeros.raw rbd:rbd/cv-zero
[[ $(used cv-zero) == 0 ]] || fail "zeros use $(used cv-zero) bytes"

# From every kind of source.
qemu-img convert -O qcow2 -c -f raw zeros.raw z.qcow2
truncate -s 20000256 disk.raw
for type in zlib zstd; do
  qemu-img convert -O qcow2 -c -o compression_type=$type disk.raw packed.qcow2
  ferry convert -q --force packed.qcow2 rbd:rbd/cv-1
  holds cv-1 disk.raw
done

# Layout.
ferry convert -q --object-size 1M --features layering,exclusive-lock --stripe-unit 64K --stripe-count 4 disk.raw rbd:rbd/cv-2
holds cv-2 disk.raw
rbd info --format json rbd/cv-2 | python3 -c 'import json,sys; r=json.load(sys.stdin); assert r["order"]==20 and r["stripe_unit"]==65536 and r["stripe_count"]==4 and sorted(r["features"])==["exclusive-lock","layering","striping"], r'
ceph osd pool create cv-data 8 >/dev/null 2>&1
ferry convert -q --data-pool cv-data disk.raw rbd:rbd/cv-3
holds cv-3 disk.raw
rbd info rbd/cv-3 | grep -q "data_pool: cv-data" || fail "no data pool"
# A user who may not write there is refused before the first byte, and nothing is left.
ceph auth get-or-create client.cv-one mon 'profile rbd' osd 'profile rbd pool=rbd' -o one.keyring
expect 1 "write to the data pool 'cv-data': Operation not permitted" \
  ferry convert --id cv-one --keyring one.keyring --data-pool cv-data disk.raw rbd:rbd/cv-4
ferry convert -q --id cv-one --keyring one.keyring disk.raw rbd:rbd/cv-4
rbd rm --no-progress rbd/cv-4
ceph auth rm client.cv-one 2>/dev/null
expect 2 "there is no feature 'speed'" ferry convert --features speed disk.raw rbd:rbd/cv-4
expect 2 "an object size of 3 MiB is not possible" ferry convert --object-size 3M disk.raw rbd:rbd/cv-4
expect 2 "striping needs both" ferry convert --stripe-unit 64K disk.raw rbd:rbd/cv-4
expect 2 "no data pool 'nowhere'" ferry convert --data-pool nowhere disk.raw rbd:rbd/cv-4

# Snapshots, namespaces, QEMU's spelling, clones.
rbd snap create --no-progress rbd/cv-1@monday
rbd bench --io-type write --io-size 4K --io-total 64K rbd/cv-1 >/dev/null
ferry convert -q rbd:rbd/cv-1@monday back.raw
same disk.raw back.raw
expect 1 "differ" ferry compare rbd:rbd/cv-1 disk.raw
rbd snap protect rbd/cv-1@monday
rbd clone rbd/cv-1@monday rbd/cv-clone
ferry compare -q rbd:rbd/cv-clone disk.raw
rbd rm --no-progress rbd/cv-clone
rbd snap unprotect rbd/cv-1@monday
rbd namespace create rbd/ns
ferry convert -q disk.raw "rbd:rbd/ns/inside:id=admin:conf=$CEPH_CONF"
rbd export --no-progress rbd/ns/inside - | cmp - disk.raw
rbd rm --no-progress rbd/ns/inside
rbd namespace rm rbd/ns
(
  conf=$CEPH_CONF
  unset CEPH_CONF
  ferry compare -q disk.raw "rbd:rbd/cv-2:conf=$conf"
  ferry compare -q --ceph-conf "$conf" --id admin --cluster ceph disk.raw rbd:rbd/cv-2
)

# RBD to RBD; qcow2 inside a volume; an empty 8 TiB image in moments.
ferry convert -q rbd:rbd/cv-2 rbd:rbd/cv-5
holds cv-5 disk.raw
rbd import --no-progress packed.qcow2 rbd/cv-q
ferry convert -q rbd:rbd/cv-q q.raw
same disk.raw q.raw
truncate -s 8T huge.raw
timeout 10 "$VMFERRY" convert -q huge.raw rbd:rbd/cv-huge
timeout 20 "$VMFERRY" compare -q huge.raw rbd:rbd/cv-huge
[[ -z $(rbd ls | grep vmferry || true) ]] || fail "left over: $(rbd ls)"
