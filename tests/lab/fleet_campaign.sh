# SPDX-License-Identifier: LGPL-2.1-or-later
# The long form of fleet_test.sh, for tools/check --long: 60 small guests on two hosts, while workers are killed 30 times, guests and
# the whole fleet are paused, cancelled and tried again at random moments, and the OSD stands still for a minute. Then four guests
# with a system move while they run, two of them to the other host.
source "$ROOT/tests/lab/fleet_helpers.sh"
fleet=mg-campaign-$$
formats=(raw qcow2)
RANDOM=${SEED:=$$}
echo "SEED=$SEED"

for ((number = 1; number <= 60; ++number)); do
  guest_on "host$([[ $((number % 2)) == 0 ]] && echo a || echo b)" "mg-c$number" "${formats[number % 3 / 2]}" $((1 + number % 5))
  ((number % 15 > 1)) || virsh -q -c "${uri[${home[$guest]}]}" start "$guest"
done
plan --jobs 6 --bandwidth 3M # so that most kills meet moves
limit_to jobs_per_host 3
ferry fleet submit plan.toml --name "$fleet"
begin_worker hosta
begin_worker hostb
"$VMFERRY" fleet status "$fleet" --pool rbd --watch --json >watched 2>watched.said &
watch=$!

some_guest() {
  echo "mg-c$((RANDOM % 60 + 1))"
}
# tell COMMAND [GUEST]: which means nothing to some of them.
tell() {
  local said
  if said=$(ferry fleet "$1" "$fleet" --pool rbd "${@:2}" 2>&1); then
    echo "$SECONDS s: $1 ${2-}"
  else
    [[ $said == *'it is '* || $said == *'it has ended'* || $said == *'no job failed'* ]] || fail "$1 ${2-}: $said"
  fi
}
# retry_failed: a client that is killed at the right moment of opening a volume leaves a watcher for ever
# (https://tracker.ceph.com/issues/58120), and a cluster that does not answer for a minute is a failure; nothing else may fail.
retry_failed() {
  local failures
  failures=$(told "$fleet" '"\n".join(job["guest"] + ": " + job.get("error", "nothing") for job in jobs.values() if job["state"] == "failed")')
  [[ -n $failures ]] || return 0
  echo "$SECONDS s: failed: $failures"
  ! grep -vE 'have it open|died each time|did not answer in time' <<<"$failures" || fail "see above"
  if grep -q 'have it open' <<<"$failures"; then
    ceph osd down 0 >/dev/null 2>&1
    sleep 30
  fi
  tell retry
}

kills=0
while ((kills < 32)); do
  sleep "$((RANDOM % 4)).$((RANDOM % 10))"
  case $((RANDOM % 10)) in
    0) tell pause "$(some_guest)" ;;
    1) tell cancel "$(some_guest)" ;;
    2) tell pause && sleep 1 && tell resume ;;
    3) retry_failed ;;
    *)
      host=host$([[ $((RANDOM % 2)) == 0 ]] && echo a || echo b)
      kill_worker "$host"
      begin_worker "$host"
      kills=$((kills + 1))
      ;;
  esac
  if ((kills == 16)) && [[ -z ${stood-} ]]; then
    stood=1
    echo "$SECONDS s: the OSD stands still: $(told "$fleet" totals)"
    kill -STOP "$(cat "$VMFERRY_LAB/osd.pid")"
    sleep 60
    kill -CONT "$(cat "$VMFERRY_LAB/osd.pid")"
  fi
  ((kills != 24)) || [[ -n ${cancelled-} ]] || {
    cancelled=1
    tell cancel
    sleep 5
    tell retry
  }
done
echo "$SECONDS s: no more trouble: $(told "$fleet" totals)"
until is_so "$fleet" 'totals["done"] == 60'; do
  for each in $(told "$fleet" '" ".join(job["guest"] for job in jobs.values() if job["state"] == "paused")'); do
    tell resume "$each"
  done
  retry_failed
  ! is_so "$fleet" 'totals["cancelled"] > 0' || tell retry
  ((SECONDS < 1800)) || fail "not done: $(ferry fleet status "$fleet")"
  sleep 2
done
# Who watches saw it to its end, also while the cluster did not answer. A fleet has ended more than once where something failed last.
! kill -0 "$watch" 2>/dev/null || kill -TERM "$watch"
wait "$watch" || (($? == 143)) || fail "who watches has failed: $(cat watched.said)"
grep -q 'trying again' watched.said || fail "who watches has not seen that the cluster stood still: $(cat watched.said)"
end_worker hosta
end_worker hostb
moved_once
nothing_left "$fleet"
for guest in "${!home[@]}"; do
  number=${guest#mg-c}
  state_now=$(virsh -q -c "${uri[${home[$guest]}]}" domstate "$guest")
  [[ $state_now == "$( ((number % 15 > 1)) && echo 'shut off' || echo running)" ]] || fail "$guest is $state_now"
done
echo "$SECONDS s: 60 guests moved once, with $kills kills; most attempts: $(told "$fleet" 'max(job["attempts"] for job in jobs.values())')"
machines_down >/dev/null

# With a system, live.
for number in 1 2 3 4; do
  start mg-live$number
done
ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --guest mg-live1 --guest mg-live2 -o plan.toml --force
ferry fleet plan --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --guest mg-live3 --guest mg-live4 \
  --to "$VMFERRY_LAB_HOSTB" -o away.toml
sed -n '/^\[\[guest\]\]/,$p' away.toml >>plan.toml
limit_to jobs_per_host 4
[[ $(grep -c '^way = "live"' plan.toml) == 4 ]] || fail "$(cat plan.toml)"
ferry fleet submit plan.toml --name "$fleet" --replace
began=$SECONDS
begin_worker hosta --once
wait "${worker[hosta]}" || fail "$(tail worker.hosta)"
[[ $(told "$fleet" 'totals["done"]') == 4 ]] || fail "$(ferry fleet status "$fleet")"
echo "4 guests moved live in $((SECONDS - began)) s"
state=$state/hosta
for number in 1 2 3 4; do
  guest=mg-live$number log=$guests/mg-live$number/serial.log
  if ((number <= 2)); then
    arrived "$VMFERRY_LAB_HOSTA"
  else
    arrived "$VMFERRY_LAB_HOSTB"
  fi
done
