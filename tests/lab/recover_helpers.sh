# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 in each step of a way; then --recover finishes or undoes what the dead process had begun. One test a way: they can
# run in labs side by side.
source "$ROOT/tests/lab/guest_helpers.sh"

# step_count OPTION...: how many steps this way has.
step_count() {
  move --dry-run --json "$@" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)["steps"]))'
}

# kill_in STEP OPTION...: runs until it begins step number STEP, and kills it a little later.
kill_in() {
  local step=$1 said others
  shift
  move_in_background "$@"
  read_steps
  others=${said//'"step"'/}
  until (((${#said} - ${#others}) / 6 >= step)); do
    kill -0 "$mover" 2>/dev/null || fail "it ended before step $step: $(cat steps)"
    read -r -t 0.005 -u "$never" || true
    read_steps
    others=${said//'"step"'/}
  done
  sleep "0.$((RANDOM % 3))"
  kill -KILL "$mover" 2>/dev/null || true
  wait "$mover" 2>/dev/null || true
}

# has_ghost: what was recovered from last failed on a volume with a watcher that the OSD itself no longer knows. A client
# that is killed at the right moment of opening it leaves one (https://tracker.ceph.com/issues/58120).
has_ghost() {
  local volume cookie
  volume=$(sed -nE 's/.*rbd:([^ :]+): remove: [0-9]+ client\(s\) have it open/\1/p' recovered)
  [[ -n $volume ]] || return 1
  cookie=$(rbd status --format json "$volume" | python3 -c 'import json,sys; print(json.load(sys.stdin)["watchers"][0]["cookie"])')
  ceph tell osd.0 dump_watchers >watchers 2>/dev/null
  ! grep -q "$cookie" watchers
}

recover() {
  ferry migrate "$guest" --recover --state-dir "$state" -q "$@" >recovered 2>&1 && return
  has_ghost || return 1
  echo "$SECONDS s: Ceph keeps a watcher that is gone; its OSD is made to look again"
  ceph osd down 0 >/dev/null 2>&1
  sleep 30
  ferry migrate "$guest" --recover --state-dir "$state" -q "$@" >recovered 2>&1
}

is_moved() {
  disks "$1" --inactive 2>/dev/null | grep "vda network rbd/" >/dev/null
}

# whole HOST: the move is complete, as far as can be seen in a moment.
whole() {
  lives "$1"
  on_rbd "$1" vda
  no_journal
  [[ -z $(find "$guests/$guest" -name '*overlay*' -o -name '*bridge*') ]] || fail "overlays are left: $(ls "$guests/$guest")"
}

again() {
  "$lab" guest down "$guest"
  rbd rm --no-progress "rbd/$guest-vda"
  start "$guest"
  before=$(picture)
}

# recovered HOST STEP: what is after --recover is one of two things, and nothing between.
recovered() {
  if is_moved "$1"; then
    whole "$1"
    again
  else
    untouched "$before"
  fi
}

# one_step HOST STEP OPTION...: kills it in this step, and recovers.
one_step() {
  local host=$1 step=$2
  shift 2
  kill_in "$step" "$@"
  # Without a journal it had ended, or had not begun.
  [[ ! -f $state/$guest.json ]] || recover || fail "no recovery: $(cat recovered)"
  recovered "$host"
}

# each_step WAY STEPS HOST OPTION...: all of these steps, in one guest.
each_step() {
  local steps_to_die=$2 host=$3 way=$1 count step
  shift 3
  start "mg-$way"
  count=$(step_count "$@")
  for step in $steps_to_die; do
    ((step <= count)) || fail "$way has only $count steps"
    echo "$SECONDS s: $way, killed in step $step of $count"
    before=$(picture)
    one_step "$host" "$step" "$@"
  done
  # After all of that, one that nobody kills.
  move -q "$@"
  arrived "$host"
  "$lab" guest down "$guest"
  rbd rm --no-progress "rbd/$guest-vda"
}

# both STEP...: a run that dies there can be undone, and it can be finished.
both() {
  local step
  start mg-both
  before=$(picture)
  for step in "$@"; do
    echo "$SECONDS s: undone and finished, killed in step $step"
    kill_in "$step"
    recover --undo || fail "not undone after step $step: $(cat recovered)"
    untouched "$before"
    kill_in "$step"
    recover --finish || fail "not finished after step $step: $(cat recovered)"
    whole "$VMFERRY_LAB_HOSTA"
    again
  done
  "$lab" guest down "$guest"
}
