# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests that move fleets of real guests have in common; they source it. Fleets that begin with "mg" are removed at the end.
source "$ROOT/tests/lab/guest_helpers.sh"
declare -A uri=([hosta]=$VMFERRY_LAB_HOSTA [hostb]=$VMFERRY_LAB_HOSTB) worker=() home=()
trap 'finish clear_fleets' EXIT

clear_fleets() {
  local each
  [[ ! -s $VMFERRY_LAB/osd.pid ]] || kill -CONT "$(cat "$VMFERRY_LAB/osd.pid")"
  kill -9 "${worker[@]}" 2>/dev/null
  for each in $(rados -p rbd -N vmferry listomapkeys fleets | grep '^mg'); do
    rados -p rbd -N vmferry rm "fleet.$each"
    rados -p rbd -N vmferry rmomapkey fleets "$each"
  done
  clear_guests
}

# guest_on HOST NAME FORMAT MIB: defines a small guest that is off, with so many random MiB on its disk. $2.raw has the same bytes.
guest_on() {
  local disk=$work/$2.raw
  head -c "$4M" /dev/urandom >"$disk"
  truncate -s 96M "$disk"
  if [[ $3 != raw ]]; then
    qemu-img convert -f raw -O "$3" "$disk" "$work/$2.$3"
    disk=$work/$2.$3
  fi
  define_machine "${uri[$1]}" "$2" "$(file_disk "$disk" vda "type='$3'")"
  home[$2]=$1
}

# plan [OPTION...]: writes plan.toml for guests of both hosts.
plan() {
  ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --connect "$VMFERRY_LAB_HOSTB" --pool rbd --id libvirt --secret-uuid "$secret" \
    -o plan.toml --force "$@" >planned || fail "$(cat planned)"
}
# limit KEY VALUE: of plan.toml.
limit_to() {
  sed -i "/^$1 = /d; s/^\[limits\]/&\n$1 = $2/" plan.toml
}

# begin_worker HOST [OPTION...]
begin_worker() {
  "$VMFERRY" fleet work --pool rbd --connect "${uri[$1]}" --state-dir "$state/$1" --lease 10 "${@:2}" >>"worker.$1" 2>&1 &
  worker[$1]=$!
}
kill_worker() {
  kill -9 "${worker[$1]}" || fail "the worker of $1 has ended: $(tail -n 5 "worker.$1")"
  wait "${worker[$1]}" 2>/dev/null || true
}
end_worker() {
  kill -TERM "${worker[$1]}" 2>/dev/null || fail "the worker of $1 has ended: $(tail -n 5 "worker.$1")"
  wait "${worker[$1]}" || fail "the worker of $1 ended with status $?: $(tail -n 5 "worker.$1")"
}

# told FLEET EXPRESSION: what its status says, in Python. `jobs` are by guest.
told() {
  ferry fleet status "$1" --pool rbd --json | python3 -c '
import json, sys
status = json.load(sys.stdin)
status["jobs"] = {job["guest"]: job for job in status["jobs"]}
print(eval(sys.argv[1], status))' "$2"
}
is_so() {
  [[ $(told "$@") == True ]]
}
# wait_for SECONDS FLEET EXPRESSION
wait_for() {
  local end=$((SECONDS + $1))
  until is_so "${@:2}"; do
    ((SECONDS < end)) || fail "not so after $1 s: $3: $(ferry fleet status "$2" --pool rbd) $(tail -n 5 worker.*)"
    sleep 0.5
  done
}

# moved_once: every guest has its volume, with what is in its old image, and one record says so.
moved_once() {
  local name records
  for name in "${!home[@]}"; do
    guest=$name
    on_rbd "${uri[${home[$name]}]}" vda
    rbd export --no-progress "rbd/$name-vda" - | cmp - "$work/$name.raw" || fail "the volume of $name is not what its image is"
    records=$(find "$state/${home[$name]}" -name "$name-*.record" | wc -l)
    [[ $records == 1 ]] || fail "$name has $records records"
  done
}

# nothing_left FLEET...: of moves that all have ended.
nothing_left() {
  local found each
  found=$(find "$state" -name '*.json' -o -name '*.fleet-lock')
  [[ -z $found ]] || fail "left in the state directory: $found"
  found=$(find "$work" -mindepth 1 -name '*overlay*' -o -name '*bridge*' -o -name '*vmferry*')
  [[ -z $found ]] || fail "left beside the images: $found"
  found=$(diff <(rbd ls | grep '^mg' | sort) <(printf '%s-vda\n' "${!home[@]}" | sort)) || fail "other volumes than there should be: $found"
  found=$(rados -p rbd ls | grep -a 'vmferry') && fail "left in the pool: $found"
  for each in "${!home[@]}"; do
    found=$(rbd image-meta list "rbd/$each-vda" | grep vmferry | grep -v "vmferry-snapshot[.]") && fail "left in $each-vda: $found"
  done
  for each in "$@"; do
    found=$(rados -p rbd -N vmferry listomapkeys "fleet.$each" | grep -E '^(run|at|to|pending|worker)/') && fail "left of fleet $each: $found"
  done
  return 0
}
