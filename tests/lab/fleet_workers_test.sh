# SPDX-License-Identifier: LGPL-2.1-or-later
# Workers of a fleet on a real cluster, with stand-ins for the moves: they are killed, sleep beyond their leases, fail, and are
# paused and cancelled. Each guest is moved exactly once, never by two at a time.

eval "$("$ROOT/tools/lab" env)"
stub=$(dirname -- "$VMFERRY")/vmferry-stub-worker
export FAKE_DIR=$PWD/fake
mkdir fake h1 h2
pool=rbd
name=fleet-test-$$
workers=()

undo_all() {
  kill -9 "${workers[@]}" 2>/dev/null
  rados -p "$pool" -N vmferry ls | grep "^fleet\.$name" | xargs -rn1 rados -p "$pool" -N vmferry rm
  rados -p "$pool" -N vmferry rmomapkey fleets "$name" 2>/dev/null
  rados -p "$pool" -N vmferry rmomapkey fleets "$name-both" 2>/dev/null
  for user in 1 2 3 4; do
    ceph auth rm "client.$name-$user"
  done
}
trap 'finish undo_all' EXIT

# plan HOSTS JOBS [LIMIT...]
plan() {
  "$ROOT/tests/fleet/make-plan" "$pool" "$@" >plan.toml
}
# start NUMBER HOST [SLOTS]: a worker with a lease of eight seconds, which logs to worker.NUMBER.
start() {
  "$stub" "$pool" "$name" "$ROOT/tests/fleet/fake-migrate" . 8 "${3:-2}" "$2" >>"worker.$1" 2>&1 &
  workers[$1]=$!
}
status() {
  ferry fleet status "$name" --json --pool "$pool"
}
# counted STATE: how many jobs are in it.
counted() {
  status | python3 -c 'import json, sys; print(json.load(sys.stdin)["totals"][sys.argv[1]])' "$1"
}
is_state() {
  [[ $(status | python3 -c 'import json, sys; print(json.load(sys.stdin)["state"])') == "$1" ]]
}
is_count() {
  [[ $(counted "$1") == "$2" ]]
}
# once_each JOBS: every guest was moved once, and no two runs met.
once_each() {
  ! grep TWICE fake/log || fail "two runs worked on one guest"
  local moved
  moved=$(grep -c '^moved' fake/log)
  [[ $moved == "$1" ]] || fail "$moved moves of $1 guests"
  [[ $(grep '^moved' fake/log | cut -d' ' -f2 | sort -u | wc -l) == "$1" ]] || fail "a guest was moved twice"
  [[ -z $(find h1 h2 -name '*.json') ]] || fail "a run was left unfinished"
}

# Killed at random.
plan 2 24 'jobs = 4'
ferry fleet submit plan.toml --name "$name"
expect 1 'has not ended' ferry fleet submit plan.toml --name "$name" --replace
# Of two at once one is stored, the other refused.
submits=()
for number in 1 2; do
  ferry fleet submit plan.toml --name "$name-both" >"submit.$number" 2>&1 &
  submits+=($!)
done
stored=0
for number in 0 1; do
  ! wait "${submits[number]}" || stored=$((stored + 1))
done
((stored == 1)) || fail "$stored of two submits were stored: $(cat submit.*)"
grep -q 'there is one of that name, which has not ended' submit.* || fail "$(cat submit.*)"
ferry fleet cancel "$name-both"

echo 0.6 >fake/seconds
for number in 1 2 3 4; do
  start "$number" "h$((number % 2 + 1))"
done
kills=0
while ! is_state ended; do
  sleep "0.$((RANDOM % 9 + 1))"
  ((kills < 15)) || continue
  number=$((RANDOM % 4 + 1))
  if kill -9 "${workers[number]}" 2>/dev/null; then
    kills=$((kills + 1))
    wait "${workers[number]}" 2>/dev/null || true
    start "$number" "h$((number % 2 + 1))"
  fi
done
once_each 24
grep -q '^recover' fake/log || fail "no move was recovered, in $kills kills"
for number in 1 2 3 4; do
  wait "${workers[number]}" || fail "a worker failed: $(tail -n 3 "worker.$number")"
done
! rados -p "$pool" -N vmferry listomapkeys "fleet.$name" | grep -E '^(run|at|to|pending)/' || fail "keys are left"

# One sleeps beyond its lease, its move goes on; another on that host waits for that move, and does not do it again.
rm -f fake/log worker.*
plan 1 2 'jobs = 2' 'jobs_per_host = 2'
expect 1 'has ended' ferry fleet submit plan.toml --name "$name"
ferry fleet submit plan.toml --name "$name" --replace
echo 12 >fake/seconds
start 1 h1 1
until_true 60 grep -q '^begin g1' fake/log
kill -STOP "${workers[1]}"
start 2 h1 2
until_true 120 grep -q 'g1: taken over' worker.2
kill -CONT "${workers[1]}"
echo 0.5 >fake/seconds
until_true 90 is_state ended
once_each 2
grep -q 'lease' worker.1 || fail "the one that slept does not know: $(cat worker.1)"
wait "${workers[1]}" "${workers[2]}"

# Failures stop the fleet; it goes on when told to, and what failed is tried again.
rm -f fake/log worker.*
plan 1 6 'jobs = 1' 'stop_after_failures = 2'
ferry fleet submit plan.toml --name "$name" --replace
echo 0 >fake/seconds
for guest in g2 g3; do
  echo "copy: no room on $guest" >"fake/fail.$guest"
done
start 1 h1 1
until_true 60 is_state stopped
[[ $(counted "done") == 1 && $(counted failed) == 2 ]] || fail "$(status)"
expect 0 'no room on g2' ferry fleet status "$name"
rm fake/fail.*
ferry fleet resume "$name"
until_true 90 is_count "done" 4
ferry fleet retry "$name" g2 2>&1 | grep -q 'tried again'
ferry fleet retry "$name"
start 2 h1 1
until_true 90 is_state ended
once_each 6

# Paused: nothing begins. Cancelled: what runs is undone. What was cancelled begins again when told to.
rm -f fake/log worker.*
plan 2 4 'jobs = 2' 'jobs_per_host = 1'
ferry fleet submit plan.toml --name "$name" --replace
echo 30 >fake/seconds
start 1 h1
start 2 h2
until_true 60 is_count running 2
ferry fleet pause "$name" g4
expect 1 'no such guest' ferry fleet pause "$name" g9
ferry fleet cancel "$name" g1
until_true 30 grep -q '^undone g1' fake/log
until_true 30 is_count cancelled 1
ferry fleet cancel "$name"
until_true 45 is_state cancelled
expect 1 'it has ended' ferry fleet pause "$name"
echo 0 >fake/seconds
ferry fleet retry "$name"
start 3 h1
start 4 h2
until_true 60 is_count "done" 3
ferry fleet resume "$name" g4
start 5 h2
until_true 60 is_state ended
once_each 4

# What a Ceph user needs: as one that moves guests has it, or for the namespace of fleets alone; to look, reading is enough.
ceph auth get-or-create "client.$name-1" mon 'profile rbd' osd "profile rbd pool=$pool" >key.1
ceph auth get-or-create "client.$name-2" mon 'profile rbd' osd "profile rbd pool=$pool namespace=other, allow rwx pool=$pool namespace=vmferry" >key.2
ceph auth get-or-create "client.$name-3" mon 'profile rbd' osd "profile rbd pool=$pool namespace=other" >key.3
ceph auth get-or-create "client.$name-4" mon 'profile rbd' osd "allow r pool=$pool namespace=vmferry" >key.4
is_service() {
  ceph service dump | grep -q "\"$1\""
}
echo 2 >fake/seconds
for user in 1 2; do
  ferry fleet submit plan.toml --name "$name" --replace --id "$name-$user" --keyring "key.$user"
  CEPH_ARGS="--id $name-$user --keyring $PWD/key.$user" start 6 h1
  CEPH_ARGS="--id $name-$user --keyring $PWD/key.$user" start 7 h2
  until_true 30 is_service "h1.$name.${workers[6]}" # of "ceph -s", with these rights alone
  until_true 60 is_state ended
done
expect 1 'allow rwx' ferry fleet submit plan.toml --name "$name" --replace --id "$name-3" --keyring key.3
expect 0 '4 done' ferry fleet status "$name" --id "$name-4" --keyring key.4
expect 1 'allow rwx' ferry fleet retry "$name" g1 --pool "$pool" --id "$name-3" --keyring key.3

# One of a newer vmferry is left alone.
rados -p "$pool" -N vmferry setomapval "fleet.$name" format 2
expect 1 'newer vmferry' ferry fleet status "$name"
expect 1 'newer vmferry' ferry fleet pause "$name"
