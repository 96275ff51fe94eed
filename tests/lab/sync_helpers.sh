# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests of warm moves have in common; they source it.
source "$ROOT/tests/lab/guest_helpers.sh"

# sync_guest [OPTION...]: vmferry sync of $guest, as often as it is called.
sync_guest() {
  ferry sync "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state" "$@"
}
# cut_over [OPTION...]: the end of its warm move.
cut_over() {
  ferry cutover "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" "$@"
}
# in_background COMMAND...: its steps go to the file "steps", its result to "result". Sets $mover.
in_background() {
  rm -f steps
  "$VMFERRY" "$@" --progress json >result 2>steps &
  mover=$!
}

# overlay_of DEV: what the guest writes to, by the live definition; and what is below it, a line each.
overlay_of() {
  on_a dumpxml "$guest" | python3 -c '
import sys, xml.etree.ElementTree as tree
for disk in tree.fromstring(sys.stdin.read()).findall("devices/disk"):
    if disk.find("target").get("dev") == sys.argv[1]:
        while disk is not None and disk.find("source") is not None:
            print(disk.find("source").get("file") or disk.find("source").get("name"))
            disk = disk.find("backingStore")' "$1"
}

# number_of_sync: of the last one, as the state says.
number_of_sync() {
  python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["state"]["rounds"][-1]["number"])' "$state/$guest.sync"
}

# synced NUMBER DEV...: each volume has, at its snapshot of that sync, what is below the overlay of its disk, and nothing else is there.
synced() {
  local dev number=$1 chain
  shift
  [[ $(number_of_sync) == "$number" ]] || fail "sync $(number_of_sync) is the last one, not $number"
  no_journal
  for dev in "$@"; do
    mapfile -t chain < <(overlay_of "$dev")
    [[ ${chain[0]} == "$guests/$guest/$guest-$dev.vmferry-sync-$number.qcow2" ]] || fail "$dev is on ${chain[*]}"
    [[ ${chain[1]} == "$guests/$guest/$dev".* ]] || fail "$dev is on ${chain[*]}"
    [[ $(find "$guests/$guest" -name "*-$dev.vmferry*") == "${chain[0]}" ]] || fail "more is left: $(ls "$guests/$guest")"
    qemu-img compare -q -U -f "${chain[1]##*.}" -F raw "${chain[1]}" "rbd:rbd/$guest-$dev@vmferry-sync-$number" ||
      fail "the volume of $dev is not what is below its overlay"
  done
}
