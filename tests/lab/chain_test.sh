# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Snapshots of a volume become internal snapshots of a qcow2 image, or a chain of images to which the newest is added alone.

eval "$("$ROOT/tools/lab" env)"
clear_all() {
  clear_volumes chain
}
trap 'finish clear_all' EXIT

# is_state IMAGE VOLUME [OPTION...]: qemu-img reads of the image what the volume holds.
is_state() {
  local image=$1 volume=$2
  shift 2
  qemu-img check -q "$image" || fail "qemu-img check $image: $(qemu-img check "$image")"
  qemu-img convert -O raw "$@" "$image" found
  rm -f expected
  rbd export --no-progress "$volume" expected
  truncate -s "$(stat -c %s expected)" found # QEMU shows the size that the disk has now
  same found expected
}
# change COMMAND...
change() {
  local command commands=()
  for command in "$@"; do
    commands+=(-c "$command")
  done
  qemu-io -f raw "${commands[@]}" rbd:rbd/chain-a >/dev/null
}

rbd create --size 48M rbd/chain-a
change 'write -P 1 0 9M' 'write -P 2 20M 1M'
rbd snap create --no-progress rbd/chain-a@mon
change 'write -P 3 5M 100k' 'discard 8M 4M' 'write -z 20M 64k'
rbd snap create --no-progress rbd/chain-a@tue
rbd resize --no-progress --size 60M rbd/chain-a
change 'write -P 4 55M 1M'
rbd snap create --no-progress rbd/chain-a@wed
rbd resize --no-progress --allow-shrink --size 30M rbd/chain-a
change 'write -P 5 0 64k'

ferry convert -q --snapshots all -O qcow2 --verify --compress zstd rbd:rbd/chain-a all.qcow2
is_state all.qcow2 rbd/chain-a
for state in mon tue wed; do
  rm -f expected
  rbd export --no-progress rbd/chain-a@$state expected
  size=$(stat -c %s expected)
  ferry convert -q --force --snapshot $state all.qcow2 found
  truncate -s $((size < 31457280 ? size : 31457280)) found expected
  same found expected
done

# A chain that ends in a snapshot, to which others are added.
mkdir dir
ferry convert -q --chain dir --verify rbd:rbd/chain-a@tue
[[ $(cd dir && echo *) == "chain-a-01-mon.qcow2 chain-a-02-tue.qcow2" ]] || fail "made: $(ls dir)"
is_state dir/chain-a-01-mon.qcow2 rbd/chain-a@mon
is_state dir/chain-a-02-tue.qcow2 rbd/chain-a@tue
(($(allocated dir/chain-a-02-tue.qcow2) < 1000000)) || fail "a link takes $(allocated dir/chain-a-02-tue.qcow2)"
ferry convert -q --chain dir --since tue --verify=read rbd:rbd/chain-a@wed
is_state dir/chain-a-03-wed.qcow2 rbd/chain-a@wed
expect 1 "holds the snapshot 'wed'.*, not the snapshot 'tue'" ferry convert --chain dir --since tue rbd:rbd/chain-a
ferry convert -q --chain dir --since wed rbd:rbd/chain-a
is_state dir/chain-a-04-now.qcow2 rbd/chain-a

# The volume was made anew, with a snapshot of the same name: that is another one.
rm dir/chain-a-04-now.qcow2
rbd snap rm --no-progress rbd/chain-a@wed
rbd snap create --no-progress rbd/chain-a@wed
expect 1 "holds the snapshot 'wed'.*, not the snapshot 'wed'" ferry convert --chain dir --since wed rbd:rbd/chain-a

# And back: the layers become snapshots of a volume.
ferry convert -q -f qcow2 --chain-as-snapshots dir/chain-a-03-wed.qcow2 rbd:rbd/chain-b
is_state dir/chain-a-03-wed.qcow2 rbd/chain-b
is_state dir/chain-a-01-mon.qcow2 rbd/chain-b@chain-a-01-mon
no_leftovers
