# SPDX-License-Identifier: LGPL-2.1-or-later
# A first sync whose overlays become too large while it copies: they are committed into the images, a raw and a qcow2 one, and the copy
# goes on. Then one that is stopped in the middle of that, and one that is killed there. The disks are written to all the time.
source "$ROOT/tests/lab/sync_helpers.sh"

mkdir -p "$guests/mg-rungs"
dd if=/dev/urandom of="$guests/mg-rungs/vda.raw" bs=1M count=24 status=none
truncate -s 64M "$guests/mg-rungs/vda.raw"
qemu-img convert -f raw -O qcow2 "$guests/mg-rungs/vda.raw" "$guests/mg-rungs/vdb.qcow2"
machine mg-rungs "$(file_disk "$guests/mg-rungs/vda.raw" vda)$(file_disk "$guests/mg-rungs/vdb.qcow2" vdb "type='qcow2'")"
on_a start mg-rungs
touch wrote

# write_on: in the background, until write_no_more. A line in "wrote" for each write that is done: disk, KiB, byte.
write_on() {
  rm -f enough
  (
    count=$(wc -l <wrote)
    until [[ -e enough ]]; do
      count=$((count + 1))
      disk=$((count % 2)) offset=$((count / 2 % 190 * 256)) byte=$((count % 255 + 1))
      guest_io "$VMFERRY_LAB_HOSTA" "$disk" "write -P $byte ${offset}k 200k" >/dev/null
      echo "$disk $offset $byte" >>wrote
      read -r -t 0.1 -u "$never" || true # no faster than is copied
    done
  ) &
  writer=$!
}
write_no_more() {
  touch enough
  wait "$writer"
  guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
  guest_io "$VMFERRY_LAB_HOSTA" 1 flush >/dev/null # else its tables are in QEMU's memory
}

# holds_all N FILE FORMAT: the image holds all that was written to that disk; where that was done twice, the last.
holds_all() {
  local -a commands
  mapfile -t commands < <(awk -v disk="$1" '$1 == disk { last[$2] = $3 } END { for (at in last) print "read -q -P " last[at] " " at "k 200k" }' wrote)
  ((${#commands[@]} > 5)) || fail "nothing was written"
  printf '%s\n' "${commands[@]}" | qemu-io -U -r -f "$3" "$2" >said 2>&1 || fail "$2 has not all that was written: $(cat said)"
  ! grep -i "fail\|error" said || fail "$2 has not all that was written: $(cat said)"
}

# sync_slowly: in the background, so slowly that the overlays become full.
sync_slowly() {
  in_background sync "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state" \
    --rate-limit 8M --overlay-max 1M
}

# all_undone: the guest is on its old disks, and nothing else is there.
all_undone() {
  no_journal
  [[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $guests/mg-rungs/vda.raw
vdb file $guests/mg-rungs/vdb.qcow2" ]] || fail "it is on $(disks "$VMFERRY_LAB_HOSTA")"
  [[ -z $(find "$guests/mg-rungs" -name '*vmferry*') ]] || fail "left: $(ls "$guests/mg-rungs")"
  ! rbd ls | grep '^mg-rungs' || fail "volumes are left"
  [[ ! -e $state/$guest.sync ]] || fail "it is in a warm move"
}

write_on
sync_slowly
ended 0 "overlay of vd[ab] holds [0-9.]+ MiB: committing it, then the copy goes on \(rung 3\)"
write_no_more
no_journal
for dev in vda vdb; do
  mapfile -t chain < <(overlay_of "$dev")
  [[ ${#chain[@]} == 2 && ${chain[0]} =~ mg-rungs-$dev.vmferry-sync-1-[0-9]+.qcow2$ ]] || fail "$dev is on ${chain[*]}"
  [[ $(find "$guests/mg-rungs" -name "*-$dev.vmferry*") == "${chain[0]}" ]] || fail "more is left: $(ls "$guests/mg-rungs")"
  qemu-img compare -q -U -f "${chain[1]##*.}" -F raw "${chain[1]}" "rbd:rbd/mg-rungs-$dev@vmferry-sync-1" ||
    fail "the volume of $dev is not what is below its overlay"
done
sync_guest -q
synced 2 vda vdb
holds_all 0 "rbd:rbd/mg-rungs-vda@vmferry-sync-2" raw
holds_all 1 "rbd:rbd/mg-rungs-vdb@vmferry-sync-2" raw
ferry sync --stop "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --remove-volumes -q
all_undone

# It is stopped while it commits.
write_on
sync_slowly
wait_for_step "the overlay of"
kill -INT "$mover"
ended 130 "everything is as it was before"
all_undone

# And killed, somewhere in there.
delays=("0.$((RANDOM % 5))")
[[ ${VMFERRY_LONG-ON} != ON ]] || delays=(0 0.05 0.1 0.2 0.3 0.5)
for delay in "${delays[@]}"; do
  sync_slowly
  wait_for_step "the overlay of"
  sleep "$delay"
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
  ferry sync --recover "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" -q
  all_undone
done
write_no_more
holds_all 0 "$guests/mg-rungs/vda.raw" raw
holds_all 1 "$guests/mg-rungs/vdb.qcow2" qcow2
