# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests of warm moves from volumes to volumes of another pool have in common; they source it.
source "$ROOT/tests/lab/sync_helpers.sh"
make_pool mg-fast

# to_fast [OPTION...]: a sync of $guest to the other pool.
to_fast() {
  ferry sync "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool mg-fast --id libvirt --secret-uuid "$secret" --state-dir "$state" "$@"
}
# marks VOLUME: its snapshots, on a line.
marks() {
  rbd snap ls --format json "$1" | python3 -c 'import json,sys; print(*[one["name"] for one in json.load(sys.stdin)])'
}
# rbd_has_snapshot VOLUME NAME
rbd_has_snapshot() {
  [[ " $(marks "$1") " == *" $2 "* ]]
}
# synced_to_fast NUMBER DEV...: both volumes of each disk have the state of that sync; the guest is where it was, and nothing else is left.
synced_to_fast() {
  local dev number=$1
  shift
  [[ $(number_of_sync) == "$number" ]] || fail "sync $(number_of_sync) is the last one, not $number"
  no_journal
  for dev in "$@"; do
    [[ $(overlay_of "$dev") == "rbd/$guest-$dev" ]] || fail "$dev is on $(overlay_of "$dev")"
    [[ $(marks "rbd/$guest-$dev") == "vmferry-sync-$number" ]] || fail "the old volume has $(marks "rbd/$guest-$dev")"
    rbd export --no-progress "rbd/$guest-$dev@vmferry-sync-$number" - 2>/dev/null |
      cmp - <(rbd export --no-progress "mg-fast/$guest-$dev@vmferry-sync-$number" - 2>/dev/null) ||
      fail "the new volume of $dev is not what the old one was"
  done
  [[ -z $(find overlays -name '*vmferry*') ]] || fail "overlays are left"
}
# is_on POOL/VOLUME...: both definitions.
is_on() {
  local how
  for how in "" --inactive; do
    [[ $(disks "$VMFERRY_LAB_HOSTA" "$how" | awk '{print $3}' | paste -sd' ') == "$*" ]] || fail "not on $* ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
  done
}
mkdir overlays
