# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A volume goes with its snapshots from one cluster to another, which has other keys.

eval "$("$ROOT/tools/lab" env)"
there=$work/lab
tidy() {
  clear_volumes two
  "$ROOT/tools/lab" --dir "$there" down
}
trap 'finish tidy' EXIT
"$ROOT/tools/lab" --dir "$there" up ceph >/dev/null

# in_other COMMAND...: in the other cluster.
in_other() {
  CEPH_CONF=$there/ceph.conf "$@"
}
[[ $(ceph fsid) != $(in_other ceph fsid) ]] || fail "one cluster"

rbd create --size 40M rbd/two-a
for state in one two; do
  rbd bench --io-type write --io-size 64K --io-threads 2 --io-total 2M --io-pattern rand rbd/two-a >/dev/null
  rbd snap create --no-progress rbd/two-a@$state
done
rbd resize --no-progress --size 50M rbd/two-a
qemu-io -f raw -c 'write -P 7 45M 1M' -c 'discard 0 8M' rbd:rbd/two-a >/dev/null

# equal VOLUME: what is there is rbd/two-a, with all its snapshots, but for what is written down of them.
rbd export --no-progress --export-format 2 rbd/two-a here.export
equal() {
  local key
  for key in $(in_other rbd image-meta list --format json "$1" | jq -r 'keys[]'); do
    [[ $key == vmferry-snapshot.* ]] || fail "metadata: $key"
    in_other rbd image-meta remove "$1" "$key"
  done
  rm -f there.export
  in_other rbd export --no-progress --export-format 2 "$1" there.export
  same here.export there.export
}
expect 0 "2 snapshots beside: one, two" ferry convert --snapshots all --verify --to-ceph-conf "$there/ceph.conf" rbd:rbd/two-a rbd:rbd/two-b
equal rbd/two-b
! rbd ls | grep two-b || fail "made here"
