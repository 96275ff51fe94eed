# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume that changes while it is read is an error, and there is no target.
eval "$("$ROOT/tools/lab" env)"
FAULTS=$(dirname -- "$VMFERRY")/libvmferry-faults.so
trap 'finish "clear_volumes cv-"' EXIT
dd if=/dev/urandom of=src.raw bs=1M count=5 status=none
truncate -s 12M src.raw # and a hole up to the end
everything=layering,exclusive-lock,object-map,fast-diff

make_volume() { # FEATURES
  rbd import --no-progress --image-feature "$1" src.raw rbd/cv-1
  rbd snap create --no-progress rbd/cv-1@s
}

remove_volume() { # [VOLUME]
  rbd snap purge --no-progress "${1:-rbd/cv-1}" 2>/dev/null || true
  rbd rm --no-progress "${1:-rbd/cv-1}"
}

# While a copy of SOURCE runs, which waits in the middle for the while, COMMAND changes it: the copy's status and words.
copy_during() { # "OPTIONS" SOURCE COMMAND...
  local options=$1 source=$2 pid
  shift 2
  rm -f out.raw go log
  # shellcheck disable=SC2086 # words
  VMFERRY_FAULT="pwrite:2:hold:$PWD/go" VMFERRY_FAULT_LOG=$PWD/log VMFERRY_FAULT_PATHS=$PWD/.out.raw LD_PRELOAD=$FAULTS \
    "$VMFERRY" convert -q -j 2 $options "$source" out.raw 2>said.txt &
  pid=$!
  until_true 20 grep -q hold log
  "$@" >/dev/null
  touch go
  status=0
  wait "$pid" || status=$?
}

change_during() { # "OPTIONS" FEATURES SOURCE MESSAGE COMMAND...
  local options=$1 features=$2 source=$3 message=$4
  shift 4
  make_volume "$features"
  copy_during "$options" "$source" "$@"
  [[ $status == 1 ]] || fail "status $status after '$*' ($options, $features): $(cat said.txt)"
  grep -Eq "$source: .*$message" said.txt || fail "after '$*' ($options, $features): $(cat said.txt)"
  [[ ! -e out.raw ]] || fail "a target of a volume that changed ($*)"
  no_leftovers
}

replace() {
  remove_volume
  make_volume layering
}

write_and_close() {
  rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 4K rbd/cv-1
}

make_snapshot_again() {
  rbd snap rm --no-progress rbd/cv-1@s
  rbd snap create --no-progress rbd/cv-1@s
}

volume=rbd:rbd/cv-1
for features in layering $everything; do
  change_during "" "$features" $volume "was removed or renamed" remove_volume
  change_during "" "$features" $volume "longer a moment ago" rbd resize --no-progress --allow-shrink --size 2M rbd/cv-1
  remove_volume
  change_during --verify "$features" $volume "had it open for writing" write_and_close
  remove_volume
done
change_during "" $everything $volume "another volume took its name" replace
remove_volume
change_during "" $everything $volume "had it open for writing" rbd snap rollback --no-progress rbd/cv-1@s
remove_volume
change_during "" $everything $volume@s "snapshot was removed" rbd snap rm --no-progress rbd/cv-1@s
remove_volume
change_during "" $everything $volume "was removed or renamed" rbd rename rbd/cv-1 rbd/cv-2
remove_volume rbd/cv-2
change_during "" $everything $volume@s "snapshot was removed and made again" make_snapshot_again
remove_volume

# That a volume may be written does not mean that it may be gone.
change_during --source-in-use $everything $volume "was removed or renamed" remove_volume
change_during --source-in-use layering $volume "longer a moment ago" rbd resize --no-progress --allow-shrink --size 2M rbd/cv-1
remove_volume
make_volume layering
copy_during --source-in-use $volume write_and_close
[[ $status == 0 ]] || fail "--source-in-use of a volume that is written: $(cat said.txt)"
remove_volume

# A client that opens it and stays.
begin_to_write() {
  rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 1G rbd/cv-1 &
  writer=$!
  until_true 10 is_watched rbd/cv-1
}
change_during "" layering $volume "a client opened it for writing" begin_to_write
kill "$writer"
wait "$writer" || true

# A snapshot does not change, whatever becomes of its volume.
copy_during "" $volume@s write_and_close
[[ $status == 0 ]] || fail "the snapshot of a volume that is written: $(cat said.txt)"
cmp src.raw out.raw

# One who writes is noticed also if the volume grew, or was read by the same client.
write_and_grow() {
  write_and_close
  rbd resize --no-progress --size 16M rbd/cv-1
}
read_and_write() {
  qemu-io -f raw -c 'read 0 4k' -c 'write -P 7 0 64k' -c flush "rbd:rbd/cv-1:conf=$CEPH_CONF:rbd_atime_update_interval=1" >/dev/null
}
remove_volume
for features in layering,exclusive-lock $everything; do
  change_during "" "$features" $volume "meanwhile" write_and_grow
  remove_volume
  change_during "" "$features" $volume "meanwhile" read_and_write
  remove_volume
done
make_volume "$everything"

# Who reads changes nothing, although that may be noted in the volume; nor does one that only grows.
rbd config image set rbd/cv-1 rbd_atime_update_interval 1
ferry convert -q --force $volume@s out.raw
rbd export --no-progress rbd/cv-1 before.raw
accessed() {
  rbd info --format json rbd/cv-1 | grep -o '"access_timestamp":"[^"]*"'
}
before=$(accessed)
is_accessed() {
  rbd export --no-progress rbd/cv-1 - && [[ $(accessed) != "$before" ]]
}
read_it() {
  until_true 30 is_accessed
}
copy_during "" $volume read_it
[[ $status == 0 ]] || fail "a volume that others read: $(cat said.txt)"
cmp before.raw out.raw
# A resize cannot be told from writing where header and object map share a placement group (one volume in eight here), or where
# somebody else writes to theirs: another volume has others.
for _ in {1..8}; do
  copy_during "" $volume rbd resize --no-progress --size 16M rbd/cv-1
  [[ $status != 0 ]] || break
  grep -q "had it open for writing meanwhile" said.txt || break
  remove_volume
  make_volume "$everything"
  ferry convert -q --force $volume before.raw
done
[[ $status == 0 ]] || fail "a volume that grew: $(cat said.txt)"
cmp before.raw out.raw
