# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An interrupted copy to a volume is gone on with, from any host; what the volume does not hold is copied again, and what is
# not this copy is refused and kept.

eval "$("$ROOT/tools/lab" env)"
runs=()
tidy() {
  ((${#runs[@]} == 0)) || kill -KILL "${runs[@]}"
  ceph auth rm client.res-other
  clear_volumes res-
  rbd rm --no-progress rbd/res-ns/res-n
  rbd rm --no-progress rbd/res-ns/res-n.vmferry-partial
  rbd namespace remove rbd/res-ns
  ceph osd pool set-quota res-data max_bytes 0
  ceph osd pool rm res-data res-data --yes-i-really-really-mean-it
}
trap 'finish tidy' EXIT

truncate -s 100000001 disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=30 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1M count=9 seek=70 conv=notrunc status=none
truncate -s 20000001 old.raw
printf old | dd of=old.raw conv=notrunc status=none

# Has the volume $1 a checkpoint with a block that is done?
has_checkpoint() {
  rbd image-meta ls "$1" | grep -E '^vmferry.blocks.*[0-9a-f]{30}'
}
# begin SOURCE VOLUME [OPTION...]: a copy that goes on for two seconds more, as $run, once it has a checkpoint.
begin() {
  local source=$1 volume=$2
  shift 2
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 20M "$@" "$source" "rbd:$volume" >said 2>&1 &
  run=$!
  runs+=("$run")
  until_true 20 has_checkpoint "$volume.vmferry-partial"
}
# interrupted VOLUME [OPTION...]: a copy of disk.raw that is ended after its first checkpoint, and says how to go on.
interrupted() {
  local status=0
  begin disk.raw "$@"
  kill -TERM "$run"
  wait "$run" || status=$?
  [[ $status == 143 ]] || fail "status $status: $(cat said)"
  grep -q "go on with it by the same command and --resume, or remove it: rbd rm $1.vmferry-partial\$" said || fail "$(cat said)"
  [[ ! -v old_id ]] || [[ $(id_of "$1") == "$old_id" ]] || fail "what was there before is gone"
}
id_of() {
  rbd info "$1" | sed -n 's/^\tid: //p'
}
# None of our names for it is in the pool, and no note is in the volume.
complete() {
  rbd export --no-progress "$1" - | cmp - disk.raw
  [[ $(rbd image-meta ls "$1") != *vmferry* ]] || fail "left in $1: $(rbd image-meta ls "$1")"
  ! rados -p rbd ls --all | grep "vmferry.*${1##*/}\|${1##*/}.*vmferry" || fail "left in the pool"
}
# resumed VOLUME [OPTION...]
resumed() {
  local volume=$1
  shift
  expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume "$@" disk.raw "rbd:$volume"
  complete "$volume"
}
# kept_bytes VOLUME
kept_bytes() {
  ferry convert --resume --json disk.raw "rbd:$1" | grep -o '"kept_bytes":[0-9]*' | cut -d: -f2
}
# refused PATTERN VOLUME OPTION...: and nothing is taken away.
refused() {
  local pattern=$1 volume=$2 before
  shift 2
  before=$(id_of "$volume.vmferry-partial")
  expect 1 "$pattern" ferry convert --resume "$@" "rbd:$volume"
  [[ $(id_of "$volume.vmferry-partial") == "$before" ]] || fail "it was not kept"
  has_checkpoint "$volume.vmferry-partial" >/dev/null || fail "its checkpoints were not kept"
}

# The claim of a killed run lasts 30 seconds: these are gone on with at the end. One has no checkpoint, one is about to replace
# a volume, and one has no lock and objects that are too small for checksums.
cp disk.raw killed.raw
rbd import --no-progress old.raw rbd/res-killed-2
"$VMFERRY" convert -q -j 1 --rate-limit 20M killed.raw rbd:rbd/res-killed-1 2>/dev/null &
early=$!
runs+=("$early")
until_true 20 is_watched rbd/res-killed-1.vmferry-partial
kill -KILL "$early"
ferry convert --resume killed.raw rbd:rbd/res-killed-1 >waited 2>&1 & # goes on as soon as it may
waiting=$!
runs+=("$waiting")
begin killed.raw rbd/res-killed-2 --force
kill -KILL "$run"
begin killed.raw rbd/res-killed-3 --object-size 1M --features layering
sleep 0.5
kill -KILL "$run"
wait "$early" "$run" || true

# Layouts, places, and a volume that is to be replaced, which stays until the new one is complete.
ceph osd pool create res-data 8 >/dev/null 2>&1
rbd pool init res-data
rbd namespace create rbd/res-ns
for layout in "" "--features layering" "--features layering,exclusive-lock,object-map" "--object-size 1M" "--object-size 32M" "--data-pool res-data" "--object-size 8M --stripe-unit 1M --stripe-count 3"; do
  # shellcheck disable=SC2086 # words
  interrupted rbd/res-a $layout
  # shellcheck disable=SC2086
  resumed rbd/res-a $layout --verify
  rbd rm --no-progress rbd/res-a
done
interrupted rbd/res-ns/res-n
resumed rbd/res-ns/res-n
rbd rm --no-progress rbd/res-ns/res-n
rbd import --no-progress old.raw rbd/res-f
old_id=$(id_of rbd/res-f)
interrupted rbd/res-f --force
expect 1 "the volume exists" ferry convert --resume disk.raw rbd:rbd/res-f
expect 0 "" rbd info rbd/res-f.vmferry-partial
resumed rbd/res-f --force
unset old_id

# An error once it has its name keeps nothing that could be gone on with.
rbd import --no-progress old.raw rbd/res-l
status=0
VMFERRY_FAULT=rbd_remove_with_progress:1+:fail:EIO LD_PRELOAD=${VMFERRY%/*}/libvmferry-faults.so \
  "$VMFERRY" convert -q --force -j 1 --checkpoint-every 0.05 --rate-limit 40M disk.raw rbd:rbd/res-l 2>said || status=$?
[[ $status == 1 ]] || fail "status $status: $(cat said)"
grep -q "complete, but the volume it replaced could not be removed" said || fail "$(cat said)"
! grep "is kept" said || fail "nothing is kept"
rbd export --no-progress rbd/res-l - | cmp - disk.raw
rbd rm --no-progress rbd/res-l
rbd rm --no-progress rbd/res-l.vmferry-old

# Another host with another user, which knows nothing but what is in the cluster. Then the first user again: twice interrupted.
ceph auth get-or-create client.res-other mon 'profile rbd' osd 'profile rbd' -o other.keyring
interrupted rbd/res-o
(
  mkdir elsewhere
  cd elsewhere
  status=0
  CEPH_ARGS="--id res-other --keyring $PWD/../other.keyring" "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 5M --resume \
    ../disk.raw rbd:rbd/res-o >said 2>&1 &
  sleep 1.5
  kill -INT $!
  wait $! || status=$?
  [[ $status == 130 ]] || fail "status $status: $(cat said)"
)
resumed rbd/res-o --digest

# A layout that is another one, a source that is another one or changed, notes that are not those of this copy.
interrupted rbd/res-r
refused "made with objects of 4194304, not with 8388608" rbd/res-r --object-size 8M disk.raw
refused "made with the data pool '', not with 'res-data'" rbd/res-r --data-pool res-data disk.raw
refused "made with the features layering,exclusive-lock,object-map,fast-diff,deep-flatten, not with layering" rbd/res-r --features layering disk.raw
cp --reflink=never disk.raw other.raw
refused "the source is not what was copied then: it was 'file" rbd/res-r other.raw
truncate -s +1 other.raw
refused "made with a size of .*100000001.*, not .*100000002" rbd/res-r other.raw
rbd resize --no-progress --size 200M rbd/res-r.vmferry-partial
refused "made with a size of" rbd/res-r disk.raw
rbd resize --no-progress --size 50M --allow-shrink rbd/res-r.vmferry-partial
refused "made with a size of" rbd/res-r disk.raw
rbd resize --no-progress --size 100000001B rbd/res-r.vmferry-partial
header=$(rbd image-meta get rbd/res-r.vmferry-partial vmferry.checkpoint)
rbd image-meta set rbd/res-r.vmferry-partial vmferry.checkpoint "${header/\"version\":1/\"version\":2}" >/dev/null
refused "another version of vmferry wrote its checkpoints" rbd/res-r disk.raw
rbd image-meta set rbd/res-r.vmferry-partial vmferry.checkpoint '{"version":1,"source":7}' >/dev/null
refused "the source is not what was copied then" rbd/res-r disk.raw
rbd image-meta set rbd/res-r.vmferry-partial vmferry.checkpoint "$header" >/dev/null
resumed rbd/res-r # what was cut off is zero now, and copied again
rbd rm --no-progress rbd/res-r
interrupted rbd/res-r
touch disk.raw
refused "the source is not what was copied then: it was 'modified" rbd/res-r disk.raw

# Notes of another copy, with the header of this one: their sums do not fit.
notes=$(rbd image-meta get rbd/res-r.vmferry-partial vmferry.blocks.000000)
rbd rm --no-progress rbd/res-r.vmferry-partial
interrupted rbd/res-r
rbd image-meta set rbd/res-r.vmferry-partial vmferry.blocks.000000 -- "$notes" >/dev/null
[[ $(kept_bytes rbd/res-r) == 0 ]] || fail "believed the notes of another copy"
complete rbd/res-r
rbd rm --no-progress rbd/res-r

# A volume that somebody has put in its place: of a clone the OSDs do not tell all, so it is read; what is of the old format is
# left alone.
interrupted rbd/res-c
header=$(rbd image-meta get rbd/res-c.vmferry-partial vmferry.checkpoint)
notes=$(rbd image-meta get rbd/res-c.vmferry-partial vmferry.blocks.000000)
rbd rename rbd/res-c.vmferry-partial rbd/res-parent
rbd snap create --no-progress rbd/res-parent@monday
rbd clone --rbd-default-clone-format 2 rbd/res-parent@monday rbd/res-c.vmferry-partial
rbd image-meta set rbd/res-c.vmferry-partial vmferry.checkpoint "$header" >/dev/null
rbd image-meta set rbd/res-c.vmferry-partial vmferry.blocks.000000 -- "$notes" >/dev/null
expect 0 "beside [0-9.]+ MiB that were there, verified by reading it back" ferry convert --resume --verify disk.raw rbd:rbd/res-c
complete rbd/res-c
rbd rm --no-progress rbd/res-c
RBD_FORCE_ALLOW_V1=1 rbd create --size 100000001B --image-format 1 rbd/res-c.vmferry-partial 2>/dev/null
expect 1 "the volume exists" ferry convert --resume disk.raw rbd:rbd/res-c
rbd rm --no-progress rbd/res-c.vmferry-partial

# More notes than are asked for at once.
truncate -s 100G wide.raw
for ((i = 0; i < 100; i++)); do
  head -c 200000 disk.raw | dd of=wide.raw bs=1M seek=$((i * 1024 + i)) conv=notrunc status=none
done
has_many_notes() {
  (($(rbd image-meta ls rbd/res-m.vmferry-partial | grep -c '^vmferry.blocks') > 66))
}
"$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 5M wide.raw rbd:rbd/res-m >said 2>&1 &
run=$!
runs+=("$run")
until_true 20 has_many_notes
kill -TERM "$run"
wait "$run" || true
expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume --verify wide.raw rbd:rbd/res-m
expect 0 "" ferry compare wide.raw rbd:rbd/res-m
[[ $(rbd image-meta ls rbd/res-m) != *vmferry* ]] || fail "left in it: $(rbd image-meta ls rbd/res-m)"
rbd rm --no-progress rbd/res-m
rm wide.raw

# damaged COMMAND...: COMMAND changes what the unfinished volume has; $object is the first one of which is written down what it
# has, and $prefix what their names begin with.
damaged() {
  local notes unknown
  interrupted rbd/res-d
  prefix=$(rbd info rbd/res-d.vmferry-partial | sed -n 's/.*block_name_prefix: //p')
  notes=$(rbd image-meta get rbd/res-d.vmferry-partial vmferry.blocks.000000)
  unknown=${notes%%[0-9a-f]*}
  object=$(printf '%s.%016x' "$prefix" ${#unknown})
  rados -p rbd get "$object" object
  "$@"
  kept_bytes rbd/res-d >kept 2>said || fail "$1: $(cat said)"
  complete rbd/res-d
  rbd rm --no-progress rbd/res-d
}
wrong_byte() {
  printf X | dd of=object bs=1 seek=1000000 conv=notrunc status=none
  rados -p rbd put "$object" object
}
short_object() {
  truncate -s 1000000 object
  rados -p rbd put "$object" object
}
lost_object() {
  rados -p rbd rm "$object"
}
more_objects() { # in the hole, and beyond the end of the last object
  rados -p rbd put "$prefix.000000000000000a" object
  rados -p rbd put "$prefix.0000000000000017" object
  rbd object-map rebuild --no-progress rbd/res-d.vmferry-partial
}
lost_map() {
  rados -p rbd rm "rbd_object_map.${prefix#rbd_data.}"
}
no_notes() {
  rbd image-meta rm rbd/res-d.vmferry-partial vmferry.blocks.000000
}
edited_notes() {
  local text
  text=$(rbd image-meta get rbd/res-d.vmferry-partial vmferry.blocks.000000)
  rbd image-meta set rbd/res-d.vmferry-partial vmferry.blocks.000000 -- "${text/400000/3fffff}" >/dev/null
}
no_header() {
  rbd image-meta rm rbd/res-d.vmferry-partial vmferry.checkpoint
}
foreign_notes() {
  rbd image-meta set rbd/res-d.vmferry-partial vmferry.blocks.00ffff "$(seq -s , 3000)" >/dev/null
  rbd image-meta set rbd/res-d.vmferry-partial vmferry.blocks.zz x >/dev/null
  rbd image-meta set rbd/res-d.vmferry-partial conf_rbd_cache false >/dev/null
}
for what in wrong_byte short_object lost_object more_objects lost_map foreign_notes; do
  damaged "$what"
done
for what in no_notes edited_notes no_header; do
  damaged "$what"
  [[ $(<kept) == 0 ]] || fail "$what: kept $(<kept) bytes"
done

# A client that an operator cuts off: the error says how to go on, and that works.
begin disk.raw rbd/res-b
address=$(rbd status rbd/res-b.vmferry-partial | sed -n 's/.*watcher=\([^ ]*\) .*/\1/p')
ceph osd blocklist add "$address" 2>/dev/null
status=0
wait "$run" || status=$?
[[ $status == 1 ]] || fail "status $status: $(cat said)"
grep -q "this client was blocklisted" said || fail "$(cat said)"
grep -q "go on with it by the same command and --resume" said || fail "$(cat said)"
resumed rbd/res-b
ceph osd blocklist rm "$address" 2>/dev/null

# The same for one that notices it when it renews its claim, after eight seconds: that is no other run.
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
rm -f go log
VMFERRY_FAULT="pread:40:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log VMFERRY_FAULT_PATHS=$PWD/disk.raw LD_PRELOAD=$FAULTS \
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 disk.raw rbd:rbd/res-own >said-late 2>&1 &
late=$!
runs+=("$late")
until_true 20 grep -q hold log
until_true 20 has_checkpoint rbd/res-own.vmferry-partial >/dev/null
address=$(rbd status rbd/res-own.vmferry-partial | sed -n 's/.*watcher=\([^ ]*\) .*/\1/p')
ceph osd blocklist add "$address" 2>/dev/null
(sleep 9 && touch go) &
runs+=("$!")

# A full pool: what was copied stays, and there is a way on once there is room.
ceph osd pool set-quota res-data max_bytes 12000000 2>/dev/null
status=0
"$VMFERRY" convert --stall-timeout 3 -j 1 --checkpoint-every 0.05 --rate-limit 6M --data-pool res-data disk.raw rbd:rbd/res-q >said 2>&1 || status=$?
[[ $status == 1 ]] || fail "status $status: $(cat said)"
grep -Eq "(No space left|quota exceeded).*is full" said || fail "$(cat said)"
grep -q "go on with it by the same command and --resume" said || fail "$(cat said)"
ceph osd pool set-quota res-data max_bytes 0 2>/dev/null
until_true 20 rados -p res-data put room old.raw
resumed rbd/res-q --data-pool res-data

status=0
wait "$late" || status=$?
[[ $status == 1 ]] || fail "status $status: $(cat said-late)"
grep -q "this client was blocklisted" said-late || fail "$(cat said-late)"
grep -q "go on with it by the same command and --resume" said-late || fail "$(cat said-late)"
resumed rbd/res-own
ceph osd blocklist rm "$address" 2>/dev/null

# Without --resume it begins anew, and says what there was.
interrupted rbd/res-w
expect 0 "an unfinished copy of it, with [0-9.]+ MiB, is removed \(--resume goes on with one\)" ferry convert disk.raw rbd:rbd/res-w
complete rbd/res-w
expect 0 "there is no unfinished copy of it" ferry convert --force --resume disk.raw rbd:rbd/res-w

# A snapshot as the source, and a volume: that one must not be written meanwhile.
rbd snap create --no-progress rbd/res-w@monday
# to_file SOURCE: a copy of it that is interrupted.
to_file() {
  rm -f out.raw
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 20M "rbd:$1" out.raw >said 2>&1 &
  run=$!
  runs+=("$run")
  until_true 20 grep -Eq 'blocks.*[0-9a-f]{30}' .out.raw.vmferry-partial.notes
  kill -TERM "$run"
  wait "$run" || true
}
to_file rbd/res-w@monday
rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 64K rbd/res-w >/dev/null
expect 0 "that were there" ferry convert --resume rbd:rbd/res-w@monday out.raw
same out.raw disk.raw
to_file rbd/res-w
expect 0 "that were there" ferry convert --resume rbd:rbd/res-w out.raw
rbd export --no-progress rbd/res-w - | cmp - out.raw
to_file rbd/res-w
rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 64K rbd/res-w >/dev/null
expect 1 "the source is not what was copied then" ferry convert --resume rbd:rbd/res-w out.raw
[[ -s .out.raw.vmferry-partial && -s .out.raw.vmferry-partial.notes && ! -e out.raw ]] || fail "it was not kept"
rm .out.raw.*

# Those that were killed.
wait "$waiting" || fail "$(cat waited)"
grep -q "rbd:rbd/res-killed-1: another vmferry is writing it (process $early on $(hostname)), or was killed a moment ago: waiting for up to 45 s" waited ||
  fail "it waited without a word: $(cat waited)"
complete rbd/res-killed-1
rbd export --no-progress rbd/res-killed-2 - | cmp - old.raw
for how in "2 --force" "3 --verify"; do
  # shellcheck disable=SC2086 # words
  expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume killed.raw rbd:rbd/res-killed-$how
  complete "rbd/res-killed-${how%% *}"
done
# What tests of fleets keep meanwhile is in a namespace of theirs; and the object with which a move tries the pool stays where another
# test killed one just then. A copy makes none.
! rados -p rbd ls --all | grep vmferry | grep -v $'^vmferry\t' | grep -v vmferry_access || fail "left in the pool"
[[ $(rbd ls) != *vmferry* ]] || fail "left in the pool's directory: $(rbd ls)"
no_leftovers
