# SPDX-License-Identifier: LGPL-2.1-or-later
# Syncs one after the other (--every), of a machine without a system whose disk is written to by hand; then the move is given up.
source "$ROOT/tests/lab/sync_helpers.sh"
machine mg-every "$(file_disk "$work/every.raw" vda)"
truncate -s 64M every.raw
on_a start mg-every
expect 2 "is not a time" sync_guest --every 1x
in_background sync "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state" --every 1s
is_at() {
  (($(number_of_sync) >= $1))
}
# pattern FILE: how many bytes there are 7, where that was written.
pattern() {
  dd if="$1" bs=128K skip=8 count=1 status=none | tr -cd '\007' | wc -c
}
until_true 60 is_at 2
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 1M 128k"
number=$(number_of_sync)
until_true 60 is_at $((number + 2))
kill -INT "$mover"
ended 130 ""
rbd export --no-progress "rbd/mg-every-vda@vmferry-sync-$(number_of_sync)" out.raw
[[ $(pattern out.raw) == 131072 ]] || fail "the volume has not what the guest wrote"
sync_guest --disk vda=rbd:rbd/mg-every-vda -q
ferry sync --stop "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" -q
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $work/every.raw" ]] || fail "it is not on its old disk: $(disks "$VMFERRY_LAB_HOSTA")"
[[ $(pattern every.raw) == 131072 ]] || fail "the old image has not what the guest wrote"
rbd info rbd/mg-every-vda >/dev/null
