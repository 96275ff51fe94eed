# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Snapshots of an image become internal snapshots of a new qcow2 image: QEMU finds no fault with it, and reads the same of each.

# change COMMAND...: in the source.
change() {
  local command commands=()
  for command in "$@"; do
    commands+=(-c "$command")
  done
  qemu-io "${commands[@]}" source.qcow2 >/dev/null
}
# have_history: four states, the third of them after a return to the first.
have_history() {
  rm -f source.qcow2
  qemu-img create -q -f qcow2 "$@" source.qcow2 40M
  change 'write -P 1 0 3M' 'write -P 2 20M 1M' 'write -P 3 31M 1000k'
  qemu-img snapshot -c first source.qcow2
  change 'write -P 4 1M 64k' 'write -z 20M 512k' 'discard 31M 512k' 'write -P 5 10M 100k'
  qemu-img snapshot -c 'se@co/nd x' source.qcow2
  qemu-img snapshot -a first source.qcow2
  change 'write -P 6 2M 5k' 'write -P 7 36M 2M'
  qemu-img snapshot -c third source.qcow2
  change 'write -P 8 35M 3M' 'write -z 0 1M'
}
# same_states IMAGE: as QEMU reads them.
same_states() {
  local state
  qemu-img check -q "$1" || fail "qemu-img check $1: $(qemu-img check "$1")"
  [[ $(qemu-img info --output json "$1" | grep -c '"vm-state-size"') == 3 ]] || fail "snapshots: $(qemu-img snapshot -l "$1")"
  for state in first 'se@co/nd x' third; do
    qemu-img convert -O raw -l "snapshot.name=$state" source.qcow2 expected
    qemu-img convert -O raw -l "snapshot.name=$state" "$1" found
    same found expected
    ferry convert -q --force --snapshot "$state" "$1" found
    same found expected
  done
  qemu-img compare -q source.qcow2 "$1"
}

have_history
for how in "" "--cluster-size 512" "--cluster-size 2M" "--compress zlib" "--compress zstd --cluster-size 4K"; do
  # shellcheck disable=SC2086 # words
  expect 0 "3 snapshots beside: first, se@co/nd x, third" ferry convert --snapshots all -O qcow2 --verify $how source.qcow2 out.qcow2
  same_states out.qcow2
  rm out.qcow2
done
have_history -o extended_l2=on,cluster_size=128k
ferry convert -q --snapshots all -O qcow2 --verify=read source.qcow2 out.qcow2
same_states out.qcow2

# QEMU goes on with it: returns to one, takes another, removes one.
qemu-img snapshot -a first out.qcow2
qemu-img snapshot -c more out.qcow2
qemu-img snapshot -d third out.qcow2
qemu-io -c 'write -P 9 0 40M' out.qcow2 >/dev/null
qemu-img check -q out.qcow2
qemu-img convert -O raw -l snapshot.name=first source.qcow2 expected
qemu-img convert -O raw -l snapshot.name=more out.qcow2 found
same found expected

# What did not change is there once; what a return has undone is written again.
ferry convert -q --force --snapshots first -O qcow2 source.qcow2 one.qcow2
ferry convert -q --force --snapshots all -O qcow2 source.qcow2 all.qcow2
(($(allocated all.qcow2) < $(allocated one.qcow2) + 4000000)) || fail "three snapshots take $(allocated all.qcow2), one $(allocated one.qcow2)"

# Sizes that differ: each snapshot has its own.
qemu-img create -q -f qcow2 grown.qcow2 30M
qemu-io -c 'write -P 1 0 30M' grown.qcow2 >/dev/null
qemu-img snapshot -c small grown.qcow2
qemu-img resize -q grown.qcow2 64M
qemu-io -c 'write -P 2 60M 4M' grown.qcow2 >/dev/null
ferry convert -q --snapshots all -O qcow2 --verify grown.qcow2 out2.qcow2
qemu-img check -q out2.qcow2
expect 0 "small.*30.0 MiB" ferry info out2.qcow2
qemu-img convert -O raw -l small grown.qcow2 expected
qemu-img convert -O raw -l small out2.qcow2 found
same found expected
qemu-img snapshot -a small out2.qcow2
qemu-img info --output json out2.qcow2 | grep -q '"virtual-size": 31457280' || fail "QEMU did not return to its size"
qemu-img check -q out2.qcow2

# Killed, or the disk is full: nothing under its name.
"$VMFERRY" convert -q --snapshots all -O qcow2 --rate-limit 3M source.qcow2 killed.qcow2 &
run=$!
until_true 10 test -s .killed.qcow2.vmferry-partial
kill -KILL $run
wait $run || true
[[ ! -e killed.qcow2 ]] || fail "a name in spite of a kill"
ferry convert -q --snapshots all -O qcow2 source.qcow2 killed.qcow2
same_states killed.qcow2
mkdir mnt
mount -t tmpfs -o size=6m none mnt
leave() {
  umount mnt
}
trap 'finish leave' EXIT
expect 1 "mnt/full.qcow2: write at .*: No space left on device" ferry convert --snapshots all -O qcow2 source.qcow2 mnt/full.qcow2
[[ -z $(ls -A mnt) ]] || fail "left: $(ls -A mnt)"
no_leftovers
