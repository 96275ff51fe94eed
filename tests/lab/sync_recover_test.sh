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

start mg-sync --second-disk
"$lab" guest wait mg-sync
kill_at "copy the frozen images" sync "$guest" "${options[@]}" --pool rbd --id libvirt --secret-uuid "$secret"
ferry sync --recover "$guest" "${options[@]}" -q
[[ -e $state/$guest.sync ]] || sync_guest -q
synced 1 vda vdb
for text in "freeze what was written" "copy what was written" "keep it as a snapshot" "write down" "commit what was copied" \
  "remove the overlays that"; do
  kill_at "$text" sync "$guest" "${options[@]}"
  sync_guest -q # which recovers first
  synced "$(number_of_sync)" vda vdb
done
lives "$VMFERRY_LAB_HOSTA"
kill_at "switch the guest to the overlays" cutover "$guest" "${options[@]}"
if [[ -n $(find "$state" -name '*.json') ]]; then
  expect 1 "migrate --recover $guest" sync_guest
fi
ferry cutover --recover "$guest" "${options[@]}" -q
[[ ! -e $state/$guest.sync ]] || cut_over -q
arrived "$VMFERRY_LAB_HOSTA"
on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
[[ -z $(find "$guests/$guest" -name '*vmferry*') ]] || fail "overlays are left: $(ls "$guests/$guest")"
