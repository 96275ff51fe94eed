# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 in the middle of a copy, after a checkpoint: --recover goes on with it, and --recover --undo undoes it.
source "$ROOT/tests/lab/guest_helpers.sh"

slow=16M # a second: the guest's disk takes about 25 s, and the first checkpoint is written after 10

# has_checkpoint: the unfinished copy of the first disk has one.
has_checkpoint() {
  if [[ -d ${to_dir-} ]]; then
    grep -q '^vmferry.blocks' "$to_dir/.$guest-vda.raw.vmferry-partial.notes" 2>/dev/null
  else
    rbd image-meta list "rbd/$guest-vda.vmferry-partial" 2>/dev/null | grep -q '^vmferry.blocks'
  fi
}

# kill_in_copy: the mover, once there is a checkpoint, and a little later.
kill_in_copy() {
  until_true 60 has_checkpoint
  sleep "0.$((RANDOM % 10))"
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
  echo "$SECONDS s: killed in the copy of $guest"
}

# recover [OPTION...]: its report goes to the file "report".
recover() {
  ferry migrate "$guest" --recover --state-dir "$state" --json "$@" >report 2>recovered || fail "no recovery: $(cat recovered)"
}

# resumed MIB: the move is complete, and so much of its first disk was not copied again.
resumed() {
  local end kept
  read -r end kept < <(python3 -c 'import json; r = json.load(open("report")); print(r["end"], r["disks"][0]["kept_bytes"])')
  [[ $end == moved ]] || fail "not moved: $(cat report recovered)"
  echo "$SECONDS s: $((kept >> 20)) MiB were kept"
  ((kept >= $1 << 20)) || fail "only $kept bytes were kept: $(cat report recovered)"
  no_journal
}

start mg-resume
before=$(picture)
move_in_background --rate-limit $slow
kill_in_copy
recover --undo
[[ $(<report) == *'"end":"undone"'* ]] || fail "not undone: $(cat report)"
untouched "$before"

move_in_background --rate-limit $slow
kill_in_copy
[[ $(disks "$VMFERRY_LAB_HOSTA") == *overlay* ]] || fail "the guest is not on an overlay"
recover
resumed 64
arrived "$VMFERRY_LAB_HOSTA"
! rbd image-meta list "rbd/$guest-vda" | grep vmferry || fail "checkpoints are left"
"$lab" guest down "$guest"
rbd rm --no-progress "rbd/$guest-vda"

# The other ways take four minutes more.
if [[ ${VMFERRY_LONG-ON} != ON ]]; then
  echo "the rest is for tools/check --long"
  exit 0
fi

# Offline, and what was changed meanwhile.
head -c 256M /dev/urandom >off.raw
machine mg-off "$(file_disk "$work/off.raw" vda)"
move_in_background --rate-limit $slow
kill_in_copy
recover
resumed 64
rbd export --no-progress rbd/mg-off-vda exported
same exported off.raw
rm exported
on_a undefine mg-off
rbd rm --no-progress rbd/mg-off-vda

machine mg-off "$(file_disk "$work/off.raw" vda)"
move_in_background --rate-limit $slow
kill_in_copy
head -c 64K /dev/urandom | dd of=off.raw bs=64K seek=3 conv=notrunc status=none
recover
[[ $(<report) == *'"end":"undone"'* ]] || fail "went on with the copy of another image: $(cat report)"
! rbd ls | grep '^mg-off' || fail "a volume is left"
move_in_background --rate-limit $slow
kill_in_copy
head -c 64K /dev/urandom | dd of=off.raw bs=64K seek=3 conv=notrunc status=none
recover --finish --rate-limit 1G
resumed 0
[[ $(<report) == *'"kept_bytes":0'* ]] || fail "kept what was of another image: $(cat report)"
rbd export --no-progress rbd/mg-off-vda exported
same exported off.raw
rm exported

# What the target refuses after all: somebody changed the unfinished volume.
on_a undefine mg-off
rbd rm --no-progress rbd/mg-off-vda
machine mg-off "$(file_disk "$work/off.raw" vda)"
move_in_background --rate-limit $slow
kill_in_copy
rbd resize --no-progress --size 300M rbd/mg-off-vda.vmferry-partial
recover --rate-limit 1G
[[ $(<report) == *'"end":"moved"'*'"kept_bytes":0'* ]] || fail "not copied from the beginning: $(cat report recovered)"
grep -q "it was made with a size of .*; it is copied from the beginning" recovered || fail "does not say so: $(cat recovered)"
rbd export --no-progress rbd/mg-off-vda exported
same exported off.raw
rm exported

# Back to files, while it runs.
on_a start mg-off
mkdir files
to_dir=$work/files
"$VMFERRY" migrate mg-off --connect "$VMFERRY_LAB_HOSTA" --to-dir files --state-dir "$state" --progress json --rate-limit $slow >result 2>steps &
mover=$!
kill_in_copy
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 1M 64k" >/dev/null
recover
resumed 64
on_a destroy mg-off
dd if=<(head -c 65536 /dev/zero | tr '\0' '\7') of=off.raw bs=64K seek=16 conv=notrunc status=none iflag=fullblock
same files/mg-off-vda.raw off.raw
[[ -z $(find files -name '.*') ]] || fail "something is left: $(ls -A files)"
