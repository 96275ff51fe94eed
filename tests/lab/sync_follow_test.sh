# SPDX-License-Identifier: LGPL-2.1-or-later
# Snapshots that went along in a warm move follow those of the old volume; one that goes while it is copied is not the storage's fault.
source "$ROOT/tests/lab/sync_pools_helpers.sh"
guest=mg-follow
old=rbd/mg-follow-vda
new=mg-fast/mg-follow-vda

truncate -s 16M flat.raw
rbd import --no-progress --sparse-size 64K flat.raw "$old"
machine mg-follow "$(volume_disk "$old" vda)"
on_a start mg-follow
# written BYTE: 4 MiB, by the guest.
written() {
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $1 4M 4M"
  guest_io "$VMFERRY_LAB_HOSTA" 0 "flush"
  dd if=<(head -c 4M /dev/zero | tr '\0' "\\$(printf %03o "$1")") of=flat.raw bs=1M seek=4 conv=notrunc status=none iflag=fullblock
}
# kept BYTE NAME: the guest writes, and somebody keeps it as that snapshot of the old volume.
kept() {
  written "$1"
  rbd snap create --no-progress "$old@$2"
  cp flat.raw "$2.raw"
}
# follows NAMES: those of the new volume but for the syncs' own.
follows() {
  local found
  found=$(marks "$new" | tr ' ' '\n' | grep -v vmferry-sync | paste -sd' ')
  [[ $found == "$*" ]] || fail "the new volume has $found, not $*: $(cat said)"
}
# said_of TEXT: by the last command, or by the one in the background.
said_of() {
  grep -qF "$1" said steps 2>/dev/null || fail "not said: $1: $(cat said)"
}
# same_as_old NAME...
same_as_old() {
  local name
  for name in "$@"; do
    rbd export --no-progress "$new@$name" - | cmp - "$name.raw" || fail "$name is another"
  done
}

kept 1 again
kept 2 renamed
kept 3 gone
kept 4 cloned
kept 5 protected
kept 6 early
to_fast --overlay-dir "$PWD/overlays" -q --snapshots
follows again renamed gone cloned protected early

rbd snap rm --no-progress "$old@again"
mv again.raw again-first.raw
kept 7 again
rbd snap rename "$old@renamed" "$old@named"
mv renamed.raw named.raw
for name in gone cloned protected early; do
  rbd snap rm --no-progress "$old@$name"
done
kept 8 cloned
rbd clone --rbd-default-clone-format 2 "$new@cloned" mg-fast/mg-follow-clone
rbd snap protect "$new@protected"
rbd snap create --no-progress "$new@named" # by a person
rbd snap rm --no-progress "$new@early"
rbd snap create --no-progress "$new@early" # by a person, where the copy was
to_fast -q 2>said
follows named cloned-old protected named-old early again cloned
same_as_old again named cloned
said_of "vmferry: rbd:$new: its snapshot again is removed: the old volume has it no more"
said_of "vmferry: rbd:$new: its snapshot gone is removed: the old volume has it no more"
said_of "its snapshot renamed is called named now, as that of the old volume is"
grep -q "its snapshot gone is removed" "$state/mg-follow.log" || fail "it is not in the log"
said_of "warning: its snapshot named, which this warm move did not make, is called named-old now"
said_of "warning: its snapshot cloned stays, which is none of the old volume any more, and is called cloned-old now: a clone of it"
said_of "warning: its snapshot protected stays, which is none of the old volume any more: somebody has protected it"

# An earlier version did not write down which snapshot it made.
record=$(rbd image-meta get "$new" vmferry-snapshot.named | python3 -c 'import json, sys; record = json.load(sys.stdin); del record["snapshot"]; print(json.dumps(record))')
rbd image-meta set "$new" vmferry-snapshot.named "$record"
rbd snap rm --no-progress "$old@named"
rbd rm --no-progress mg-fast/mg-follow-clone
# One that goes while it is copied.
kept 9 short
written 10
in_background sync mg-follow --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --rate-limit 1M
wait_for_step "copy what is new"
until_true 20 grep -q '"phase":"copy"' steps
rbd snap rm --no-progress "$old@short"
! wait "$mover" || fail "nothing is said of a snapshot that went while it was copied"
said_of "the snapshot was removed or renamed meanwhile"
to_fast -q 2>said
follows named protected named-old early again cloned
said_of "its snapshot cloned-old is removed"
said_of "warning: its snapshot named stays, which is none of the old volume any more: it is not known whether a person made it"
rbd export --no-progress "$new@vmferry-sync-$(number_of_sync)" - | cmp - flat.raw

# The cutover does the same.
rbd snap rename "$old@cloned" "$old@last"
mv cloned.raw last.raw
on_a destroy mg-follow
until_true 60 is_unwatched "$old"
cut_over -q >said 2>&1 || fail "$(cat said)"
follows named protected named-old early again last
said_of "warning: its snapshot protected stays"
same_as_old again last
rbd export --no-progress "$new" - | cmp - flat.raw || fail "the new volume is not what the disk was"
