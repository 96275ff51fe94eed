# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots of a volume that was rolled back in between: the object map calls objects clean then that have changed, and is not believed.
eval "$("$ROOT/tools/lab" env)"
trap 'finish tidy' EXIT

tidy() {
  local volume
  for volume in $(rbd ls | grep '^mg-rolled'); do
    rbd snap purge --no-progress "rbd/$volume"
    rbd rm --no-progress "rbd/$volume"
  done
}
# written AT BYTE
written() {
  qemu-io -f raw -c "write -P $2 $1 64k" rbd:rbd/mg-rolled >/dev/null
}
kept() {
  rbd snap create --no-progress "rbd/mg-rolled@$1"
}

rbd create --size 64M rbd/mg-rolled
written 20M 1
kept one
written 50M 2
kept two # has what is at 20M as it was
written 20M 9
kept three
rbd snap rollback --no-progress rbd/mg-rolled@two
written 40M 3
kept four
[[ $(rbd diff --whole-object rbd/mg-rolled@four --from-snap three) != *20971520* ]] || echo "this Ceph's fast-diff sees it"
[[ $(rbd diff rbd/mg-rolled@four --from-snap three) == *20971520* ]] || fail "Ceph does not know what a rollback changed"

ferry map --since three rbd:rbd/mg-rolled --json >changes
grep -q '"start": *20971520\|"offset": *20971520' changes || fail "it is not among what has changed: $(cat changes)"
ferry convert -q --verify --snapshots all rbd:rbd/mg-rolled rbd:rbd/mg-rolled-copy
ferry convert -q --snapshots all -O qcow2 rbd:rbd/mg-rolled copy.qcow2
for name in one two three four; do
  rbd export --no-progress "rbd/mg-rolled@$name" - >state.raw
  rbd export --no-progress "rbd/mg-rolled-copy@$name" - | cmp - state.raw || fail "the state $name is another"
  qemu-img convert -l "snapshot.name=$name" -O raw copy.qcow2 other.raw
  cmp state.raw other.raw || fail "the state $name is another in the image"
  rm -f state.raw other.raw
done
rbd export --no-progress rbd/mg-rolled - | cmp - <(rbd export --no-progress rbd/mg-rolled-copy -) || fail "the volume is another"
