# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests of rehearsals have in common; they source it.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish clear_rehearsals' EXIT

# Copies first, then their clones, then what those are clones of.
clear_rehearsals() {
  local volume
  [[ -z ${rehearser-} ]] || kill -9 "$rehearser"
  for volume in $(rbd ls | grep '^mg.*-rehearsal$'); do
    (until_true 40 rbd rm --no-progress "rbd/$volume") || true
  done
  for volume in $(rbd ls | grep '^mg'); do
    rbd snap purge --no-progress "rbd/$volume"
  done
  clear_guests
}

# synced: the disks of $guest, which runs on hosta, are on volumes as they are now.
synced() {
  ferry sync -q "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state"
}

rehearse() {
  ferry rehearse "$guest" --state-dir "$state" "$@"
}

# rehearse_in_background [OPTION...]: the same; its steps go to the file "steps", its result to "result". Sets $rehearser. Returns
# when the copy runs.
rehearse_in_background() {
  rm -f steps # those of a run before are not to be waited for
  "$VMFERRY" rehearse "$guest" --state-dir "$state" "$@" >result 2>steps &
  rehearser=$!
  until_true 60 grep -E 'waiting for|letting it run' steps
}

# ended_with STATUS: the rehearsal in the background.
ended_with() {
  local status=0
  wait "$rehearser" || status=$?
  [[ $status == "$1" ]] || fail "status $status, not $1: $(cat steps result)"
}

# no_copy HOST
no_copy() {
  ! virsh -q -c "$1" list --all --name | grep -- "$guest-rehearsal"
}

# cleared: nothing of a rehearsal of $guest is left, and the guest and the snapshot are as they were.
cleared() {
  local host
  for host in "$VMFERRY_LAB_HOSTA" "$VMFERRY_LAB_HOSTB"; do
    no_copy "$host" || fail "the copy is there"
  done
  ! rbd ls | grep -E -- "^$guest-.*-rehearsal" || fail "a clone is there"
  [[ -s $state/$guest.sync && -z $(find "$state" -name '*.rehearsal*') ]] || fail "in the state directory: $(ls "$state")"
  [[ $(rbd snap ls --format json "rbd/$guest-vda") == *vmferry-sync-* ]] || fail "the snapshot is gone"
}
