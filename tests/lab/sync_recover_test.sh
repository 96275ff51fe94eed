# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 in the steps of a sync and of a cutover: what comes next ends or undoes what the dead process had begun.
source "$ROOT/tests/lab/sync_helpers.sh"

# kill_at TEXT COMMAND...: kills it when it begins the step with that text.
kill_at() {
  local text=$1
  shift
  in_background "$@"
  wait_for_step "$text"
  sleep "0.0$((RANDOM % 10))"
  kill -KILL "$mover" 2>/dev/null || true
  wait "$mover" 2>/dev/null || true
}
options=(--connect "$VMFERRY_LAB_HOSTA" --state-dir "$state")
in_pool=(--pool rbd --id libvirt --secret-uuid "$secret")

# The first copy. Until its claim has run out, half a minute, there is time for the others.
start mg-first --second-disk
"$lab" guest wait mg-first
kill_at "copy the frozen images" sync "$guest" "${options[@]}" "${in_pool[@]}"
ferry sync --recover "$guest" "${options[@]}" -q &
recovery=$!

# Later ones, of a guest without a system, that has written before each of them.
mkdir "$guests/mg-later"
truncate -s 64M "$guests/mg-later"/vd{a,b}.raw
machine mg-later "$(file_disk "$guests/mg-later/vda.raw" vda)$(file_disk "$guests/mg-later/vdb.raw" vdb)"
on_a start mg-later
sync_guest -q
steps=("freeze what was written" "copy what was written" "write down" "commit what was copied" "remove the overlays that")
[[ ${VMFERRY_LONG-ON} != ON ]] || steps+=("keep it as a snapshot") # another who has the volume open when he dies; tests/faults has it, too
count=0
for text in "${steps[@]}"; do
  for n in 0 1; do
    guest_io "$VMFERRY_LAB_HOSTA" $n "write -P $((count + n + 1)) $((8 * count))M 4M" >/dev/null
  done
  count=$((count + 1))
  kill_at "$text" sync "$guest" "${options[@]}"
  sync_guest -q # which recovers first
  synced "$(number_of_sync)" vda vdb
done
for n in 0 1; do
  rbd export --no-progress "rbd/mg-later-vd$(echo ab | cut -c $((n + 1)))@vmferry-sync-$(number_of_sync)" - >out.raw
  for ((i = 0; i < count; i++)); do
    qemu-io -r -f raw -c "read -q -P $((i + n + 1)) $((8 * i))M 4M" out.raw
  done
done

guest=mg-first
wait "$recovery"
[[ -e $state/$guest.sync ]] || sync_guest -q
synced 1 vda vdb
kill_at "switch the guest to the overlays" cutover "$guest" "${options[@]}"
if [[ -n $(find "$state" -name '*.json') ]]; then
  for look in "" --check --dry-run; do
    expect 1 "cutover --recover $guest" sync_guest $look
    expect 1 "cutover --recover $guest" cut_over $look
  done
fi
ferry cutover --recover "$guest" "${options[@]}" -q
[[ ! -e $state/$guest.sync ]] || cut_over -q
arrived "$VMFERRY_LAB_HOSTA"
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
[[ -z $(find "$guests/$guest" -name '*vmferry*') ]] || fail "overlays are left: $(ls "$guests/$guest")"
