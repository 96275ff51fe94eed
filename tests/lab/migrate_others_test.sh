# SPDX-License-Identifier: LGPL-2.1-or-later
# What other people and programs do to a machine while it moves: nothing of theirs is lost, and nothing newest removed.
source "$ROOT/tests/lab/guest_helpers.sh"

head -c 16M /dev/urandom >a.raw
head -c 4M /dev/urandom >b.raw

# started: a staged move, in its copy.
started() {
  machine mg-others "$(file_disk "$work/a.raw" vda)"
  on_a start mg-others >/dev/null
  move_in_background --rate-limit 6M
  wait_for_step "copy the frozen"
}

recover() {
  "$VMFERRY" migrate --recover mg-others --state-dir "$state" -q "$@"
}

back_on_file() {
  [[ $(disks "$VMFERRY_LAB_HOSTA" | head -n 1) == "vda file $work/a.raw" ]] || fail "$(disks "$VMFERRY_LAB_HOSTA")"
  [[ -z $(rbd ls | grep '^mg' || true) ]] || fail "left: $(rbd ls)"
  [[ $(find . -name '*vmferry*') == "" ]] || fail "left: $(find . -name '*vmferry*')"
  no_journal
  machines_down >/dev/null
}

# Memory that is saved, as at a shutdown of the host, is taken up again by whoever starts the guest.
started
on_a managedsave mg-others >/dev/null
ended 1 "its memory was saved meanwhile"
[[ $(on_a dominfo mg-others) == *"Managed save:   yes"* ]] || fail "$(on_a dominfo mg-others)"
expect 1 "its memory was saved meanwhile" recover --undo
on_a start mg-others >/dev/null
recover --undo
[[ $(on_a domstate mg-others) == running* ]] || fail "$(on_a domstate mg-others)"
back_on_file

# A guest that was started only for its disks is put to sleep again.
started
kill -KILL "$mover"
wait "$mover" 2>/dev/null || true
on_a destroy mg-others >/dev/null
recover --undo
[[ $(on_a domstate mg-others) == "shut off"* ]] || fail "$(on_a domstate mg-others)"
back_on_file

# Somebody's copy is neither pivoted nor ended, and an internal snapshot is not lost.
started
on_a blockcopy mg-others vda --dest "$work/mine.raw" --format raw --transient-job >/dev/null
ended 1 "a block job runs for it that this move did not begin .a copy to $work/mine.raw"
[[ $(on_a blockjob mg-others vda 2>&1) == *"Block Copy"* ]] || fail "the copy was ended: $(on_a blockjob mg-others vda 2>&1)"
on_a blockjob mg-others vda --abort
recover
back_on_file
rm -f mine.raw
started
on_a snapshot-create-as mg-others before >/dev/null
ended 1 "a snapshot of it was taken meanwhile"
on_a snapshot-delete mg-others before >/dev/null
recover
back_on_file

# The stored definition is written over with its old text, and the guest stops: its overlay is kept, with a word where.
started
on_a dumpxml --inactive mg-others | sed "s|$work/[^']*overlay.qcow2|$work/a.raw|; s|type='qcow2'|type='raw'|; /<backingStore/,/<\/backingStore/d" >old.xml
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 0x22 1M 64k"
on_a define old.xml >/dev/null
on_a destroy mg-others >/dev/null
ended 1 "it is on $work/a.raw again, though this move had brought it further.*qemu-img commit"
overlay=$(grep -o "qemu-img commit [^\" ]*overlay.qcow2" steps | head -n 1 | cut -d' ' -f3)
expect 1 "again, though this move" recover --undo
qemu-img commit -q "$overlay"
on_a detach-disk mg-others vda --config >/dev/null
recover
no_journal
cmp <(head -c 65536 /dev/zero | tr '\0' '\042') <(tail -c +1048577 a.raw | head -c 65536) || fail "the guest's write is lost"
rm "$overlay"
machines_down >/dev/null

# The recovery of a run asks for the run's own host and way.
started
kill -KILL "$mover"
wait "$mover" 2>/dev/null || true
expect 1 "the run was on .*, and .* is " recover --undo --connect "$VMFERRY_LAB_HOSTB"
expect 2 "that run was on one host" recover --to "$VMFERRY_LAB_HOSTB"
state=$work/other-state expect 1 "is of a move that has not ended" move -q --overlay-dir "$work" --disk vda=rbd:rbd/mg-x
recover --undo
back_on_file

# What somebody makes under the new name after a kill is not this run's.
started
is_made() { # the step is announced before that
  grep "identity:vda" "$state"/*
}
until_true 20 is_made
kill -KILL "$mover"
wait "$mover" 2>/dev/null || true
rbd import --no-progress b.raw rbd/mg-others-vda
said=$("$VMFERRY" migrate --recover --undo mg-others --state-dir "$state" 2>&1)
rbd export --no-progress rbd/mg-others-vda - | cmp - b.raw || fail "somebody's volume was changed"
[[ $said == *"rbd:rbd/mg-others-vda stays: it is not what this run made"* ]] || fail "$said"
rbd rm --no-progress rbd/mg-others-vda
back_on_file
