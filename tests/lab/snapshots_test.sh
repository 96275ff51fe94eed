# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Internal snapshots of qcow2 images become snapshots of the volume, each of which is what qemu-img reads of it; so do the layers
# of a chain; and a volume goes to another pool with its snapshots.

eval "$("$ROOT/tools/lab" env)"
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
clear_all() {
  clear_volumes snap
  ceph osd pool rm snap-two snap-two --yes-i-really-really-mean-it
}
trap 'finish clear_all' EXIT

# write IMAGE COMMAND...
write() {
  local image=$1 command
  local commands=()
  shift
  for command in "$@"; do
    commands+=(-c "$command")
  done
  qemu-io "${commands[@]}" "$image" >/dev/null
}

# have_history IMAGE: four states of a disk, after a return to the first one; the second has another size.
have_history() {
  write "$1" 'write -P 1 0 3M' 'write -P 2 20M 1M' 'write -P 3 31M 1000k'
  qemu-img snapshot -c first "$1"
  write "$1" 'write -P 4 1M 64k' 'write -z 20M 512k' 'discard 31M 512k' 'write -P 5 10M 100k'
  qemu-img snapshot -c 'se@co/nd' "$1"
  qemu-img snapshot -a first "$1"
  write "$1" 'write -P 6 2M 5k' 'write -P 7 40M 2M'
  qemu-img snapshot -c third "$1"
  write "$1" 'write -P 8 39M 3M' 'write -z 0 1M'
}

# as_qemu IMAGE SNAPSHOT VOLUME: what qemu-img reads of it, as far as the volume's snapshot goes, which was of that size.
as_qemu() {
  qemu-img convert -O raw -l "snapshot.name=$2" "$1" expected
  rbd export --no-progress "$3" - >exported
  truncate -s "$(stat -c %s exported)" expected
  same exported expected
}

# is_copied IMAGE VOLUME
is_copied() {
  as_qemu "$1" first "$2@first"
  as_qemu "$1" se@co/nd "$2@se_co_nd"
  as_qemu "$1" third "$2@third"
  qemu-img convert -O raw "$1" expected
  rbd export --no-progress "$2" - | cmp - expected
  [[ $(rbd snap ls "$2" --format json | jq -r '.[].name' | paste -sd ' ') == "first se_co_nd third" ]] || fail "the snapshots: $(rbd snap ls "$2")"
}

for made in "" "-o cluster_size=512" "-o cluster_size=2M,extended_l2=on" "-o compat=0.10"; do
  # shellcheck disable=SC2086 # words
  qemu-img create -q -f qcow2 $made disk.qcow2 64M
  have_history disk.qcow2
  expect 0 "the snapshot 'se@co/nd' is called 'se_co_nd' there" ferry convert --snapshots all --verify disk.qcow2 rbd:rbd/snap-a
  is_copied disk.qcow2 rbd/snap-a
  rbd snap purge --no-progress rbd/snap-a
  rbd rm --no-progress rbd/snap-a
  rm disk.qcow2
done

# ---- What comes back has its old names and dates.
qemu-img create -q -f qcow2 disk.qcow2 64M
have_history disk.qcow2
ferry convert -q --snapshots all disk.qcow2 rbd:rbd/snap-a
ferry convert -q --snapshots all -O qcow2 rbd:rbd/snap-a back.qcow2
kept() {
  qemu-img info --output json "$1" | jq -c '[.snapshots[] | [.name, ."date-sec"]]'
}
[[ $(kept back.qcow2) == "$(kept disk.qcow2)" && $(kept disk.qcow2) == *se@co/nd* ]] || fail "it came back as $(kept back.qcow2)"
rbd snap purge --no-progress rbd/snap-a
rbd rm --no-progress rbd/snap-a
rm disk.qcow2

# ---- Sizes that differ.
qemu-img create -q -f qcow2 disk.qcow2 30M
write disk.qcow2 'write -P 1 0 30M'
qemu-img snapshot -c small disk.qcow2
qemu-img resize -q disk.qcow2 64M
write disk.qcow2 'write -P 2 60M 4M'
qemu-img snapshot -c large disk.qcow2
# qemu-img makes no image smaller that has snapshots: one of them is copied without the other.
expect 0 '"snapshots":\[\{"name":"small","source_name":"small","source_id":"1","virtual_bytes":31457280,' \
  ferry convert --json --snapshots small,large disk.qcow2 rbd:rbd/snap-a
[[ $(rbd info --format json rbd/snap-a@small | jq .size) == 31457280 ]] || fail "the size of the first"
as_qemu disk.qcow2 small rbd/snap-a@small
as_qemu disk.qcow2 large rbd/snap-a@large
expect 0 "small .*30.0 MiB" ferry info rbd:rbd/snap-a

# ---- From volume to volume: another pool, other objects, snapshots alike; only what differs is read.
rbd resize --no-progress --allow-shrink --size 40M rbd/snap-a
rbd snap create --no-progress rbd/snap-a@shrunk
rbd bench --io-type write --io-size 16K --io-threads 2 --io-total 1M --io-pattern rand rbd/snap-a >/dev/null
rbd snap create --no-progress rbd/snap-a@last
ceph osd pool create snap-two 8 8 >/dev/null 2>&1
rbd pool init snap-two
rbd group create rbd/snap-g
rbd group image add rbd/snap-g rbd/snap-a
rbd group snap create rbd/snap-g@taken
for layout in "" "--object-size 1M" "--features layering"; do
  # shellcheck disable=SC2086 # words
  ferry convert --snapshots all --verify $layout rbd:rbd/snap-a rbd:snap-two/snap-b >said 2>&1
  grep -q "^4 snapshots beside: small, large, shrunk, last" said || fail "$(cat said)"
  grep -Eq "snap-a: not copied: \S+ \(of a group\)" said || fail "$(cat said)"
  for state in @small @large @shrunk @last ""; do
    rbd export --no-progress "rbd/snap-a$state" - >expected
    rbd export --no-progress "snap-two/snap-b$state" - | cmp - expected
  done
  rbd snap purge --no-progress snap-two/snap-b
  rbd rm --no-progress snap-two/snap-b
done
rbd group rm rbd/snap-g

# ---- The layers of a chain.
qemu-img create -q -f raw base.raw 40M
qemu-io -f raw -c 'write -P 1 0 9M' base.raw >/dev/null
qemu-img create -q -f qcow2 -F raw -b base.raw middle.qcow2
write middle.qcow2 'write -P 2 4M 1M' 'write -z 8M 1M'
qemu-img create -q -f qcow2 -F qcow2 -b middle.qcow2 top.qcow2 50M
write top.qcow2 'write -P 3 45M 1M'
ferry convert -q -f qcow2 --chain-as-snapshots --verify top.qcow2 rbd:rbd/snap-c
rbd export --no-progress rbd/snap-c@base - | cmp - base.raw
for layer in middle top; do
  qemu-img convert -O raw $layer.qcow2 expected
  state=$([[ $layer == top ]] || echo "@$layer")
  rbd export --no-progress "rbd/snap-c$state" - | cmp - expected
done

# ---- An encrypted image, and one over an image with a data file. (In such a one QEMU makes no snapshots.)
printf secret >key
of_qemu=(--object "secret,id=s,file=key" --image-opts)
luks=driver=qcow2,encrypt.key-secret=s,file.filename=luks.qcow2
over=driver=qcow2,file.filename=over.qcow2
# QEMU measures how fast this machine is; on a busy one it may get no time to measure ("accurate CPU usage").
for ((try = 1; ; try++)); do
  qemu-img create -q -f qcow2 --object secret,id=s,file=key -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 luks.qcow2 24M && break
  ((try < 10)) || fail "no encrypted image was made"
done
qemu-img create -q -f qcow2 -o data_file=base.data base.qcow2 24M
write base.qcow2 'write -P 9 0 9M'
qemu-img create -q -f qcow2 -F qcow2 -b base.qcow2 over.qcow2
for image in luks over; do
  for number in 1 2; do
    qemu-io "${of_qemu[@]}" -c "write -P $number ${number}M 3M" -c "write -z 3M 64k" "${!image}" >/dev/null
    qemu-img snapshot "${of_qemu[@]}" -c "s$number" "${!image}"
  done
  qemu-io "${of_qemu[@]}" -c 'write -P 3 20M 64k' "${!image}" >/dev/null
  allowed=()
  [[ $image != over ]] || allowed=(--allow-file "$PWD/base.data")
  [[ $image != luks ]] || allowed=(--key-file key)
  ferry convert -q -f qcow2 "${allowed[@]}" --snapshots all --verify $image.qcow2 "rbd:rbd/snap-$image"
  for state in s1 s2 ""; do
    qemu-img convert "${of_qemu[@]}" -O raw ${state:+-l snapshot.name=$state} "${!image}" expected
    rbd export --no-progress "rbd/snap-$image${state:+@$state}" - | cmp - expected
  done
done

# ---- A run that is killed between the states, or inside of one, is gone on with, or leaves nothing under the name.
rm disk.qcow2
qemu-img create -q -f qcow2 disk.qcow2 64M
have_history disk.qcow2
for hold in rbd_snap_create:2 rbd_flush:3; do
  rm -f go log
  VMFERRY_FAULT="$hold:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log LD_PRELOAD=$FAULTS \
    "$VMFERRY" convert -q --snapshots all --checkpoint-every 0.1 disk.qcow2 rbd:rbd/snap-d >said 2>&1 &
  run=$!
  until_true 20 grep -q hold log
  kill -KILL "$run"
  wait "$run" || true
  [[ $(rbd ls | grep snap-d) == snap-d.vmferry-partial ]] || fail "after kill -9 in $hold: $(rbd ls)"
  # Others meddled with it: what they wrote is written anew, and a snapshot of theirs is no state of the disk.
  expect 1 'it was made with snapshots .*, not with none' ferry convert --resume disk.qcow2 rbd:rbd/snap-d
  rbd snap create --no-progress rbd/snap-d.vmferry-partial@daily
  expect 1 "its snapshot 'daily' is not one that this copy made" ferry convert --resume --snapshots all disk.qcow2 rbd:rbd/snap-d
  rbd snap rm --no-progress rbd/snap-d.vmferry-partial@daily
  qemu-io -f raw -c 'write -q -P 99 33M 64k' "rbd:rbd/snap-d.vmferry-partial:conf=$CEPH_CONF"
  ferry convert -q --resume --verify --snapshots all disk.qcow2 rbd:rbd/snap-d
  is_copied disk.qcow2 rbd/snap-d
  rbd snap purge --no-progress rbd/snap-d
  rbd rm --no-progress rbd/snap-d
  ! rbd ls | grep snap-d || fail "left: $(rbd ls)"
done

# ---- An unfinished copy with a protected snapshot cannot be removed, and how it can is said.
rbd create --size 1M rbd/snap-p.vmferry-partial
rbd snap create --no-progress rbd/snap-p.vmferry-partial@daily
rbd snap protect rbd/snap-p.vmferry-partial@daily
expect 1 "remove the snapshot 'daily': somebody has protected it.*" ferry convert disk.qcow2 rbd:rbd/snap-p
expect 1 "rbd snap unprotect '?rbd/snap-p.vmferry-partial@daily" ferry convert disk.qcow2 rbd:rbd/snap-p
rbd snap unprotect rbd/snap-p.vmferry-partial@daily
ferry convert -q disk.qcow2 rbd:rbd/snap-p

# ---- What is refused, first.
expect 2 "such an image cannot have snapshots" ferry convert --snapshots all base.raw rbd:rbd/snap-e
expect 1 "there is no snapshot 'x'.*" ferry convert --snapshots first,x disk.qcow2 rbd:rbd/snap-e
expect 2 "such a target keeps no snapshots" ferry convert --snapshots all disk.qcow2 new.raw
expect 2 "leave one of them out" ferry convert --snapshot first --snapshots all disk.qcow2 rbd:rbd/snap-e
! rbd ls | grep snap-e || fail "left: $(rbd ls)"
[[ ! -e new.raw ]]
