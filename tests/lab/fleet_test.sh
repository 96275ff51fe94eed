# SPDX-License-Identifier: LGPL-2.1-or-later
# Two fleets of real guests at once, each host with a worker for all of them. On hosta workers are killed at random moments; on hostb
# guests are paused, cancelled and tried again. Each guest is moved once, whole, and nothing else is left.
source "$ROOT/tests/lab/fleet_helpers.sh"
killed=mg-killed-$$ steered=mg-steered-$$

for number in 1 2 3 4; do
  guest_on hosta "mg-k$number" "$([[ $number == 2 ]] && echo qcow2 || echo raw)" 4
done
guest_on hostb mg-slow raw 72
guest_on hostb mg-s1 raw 2
guest_on hostb mg-s2 qcow2 4
guest_on hostb mg-s3 raw 16
qemu-img snapshot -c before "$work/mg-k2.qcow2"
qemu-io -c 'write -P 5 1M 1M' "$work/mg-k2.qcow2" >/dev/null
qemu-img convert -O raw "$work/mg-k2.qcow2" "$work/mg-k2.raw"
on_a start mg-k4
on_b start mg-s3

# Slow enough to be caught at it. mg-slow takes 18 s, and has its first checkpoint after 10.
plan --guest mg-k1 --guest mg-k2 --guest mg-k3 --guest mg-k4 --snapshots --jobs 3 --bandwidth 3M
limit_to jobs_per_host 3
sed -i -E '/^name = "mg-k1"/,/^wave/ s/^wave.*/&\non_death = "undo"/; /^name = "mg-k2"/,/^wave/ s/^wave.*/&\non_death = "finish"/' plan.toml
[[ $(grep -c on_death plan.toml) == 2 ]] || fail "$(cat plan.toml)"
ferry fleet plan --check plan.toml >/dev/null
ferry fleet submit plan.toml --name "$killed"
plan --guest mg-slow --guest mg-s1 --guest mg-s2 --guest mg-s3 --jobs 1 --bandwidth 4M
sed -i -E '/^name = "mg-s[1-3]"/,/^wave/ s/^wave.*/wave = 2/' plan.toml
ferry fleet submit plan.toml --name "$steered"
for host in hosta hostb; do
  begin_worker $host
done

# kill_some TIMES: whatever runs on hosta, with its worker; what takes over from it is killed, too.
kill_some() {
  local kills
  for ((kills = 1; kills <= $1; ++kills)); do
    ((kills % 2 == 0)) ||
      wait_for 60 "$killed" 'state == "ended" or any(job["state"] == "running" and "worker_is_dead" not in job for job in jobs.values())'
    sleep "$((RANDOM % 2)).$((RANDOM % 10))"
    kill_worker hosta
    begin_worker hosta
  done
}

# Paused while its copy runs: it stops at a checkpoint, and goes on from there. The others have not begun.
wait_for 30 "$steered" 'jobs["mg-slow"].get("phase") == "copy"'
ferry fleet pause "$steered" mg-slow
ferry fleet pause "$steered" mg-s1
ferry fleet cancel "$steered" mg-s2
expect 1 "it is cancelled" ferry fleet pause "$steered" mg-s2
kill_some 2
wait_for 40 "$steered" 'jobs["mg-slow"]["state"] == "paused"'
[[ -s $state/hostb/mg-slow.json ]] || fail "a paused move has no journal"
ferry fleet resume "$steered" mg-slow
kill_some 3

# A live move is not stopped where it is, but it can be cancelled, and tried again; so can what never began.
wait_for 90 "$steered" 'jobs["mg-s3"].get("phase") == "copy"'
ferry fleet pause "$steered"
wait_for 10 "$steered" 'state == "paused"'
ferry fleet cancel "$steered" mg-s3
wait_for 30 "$steered" 'jobs["mg-s3"]["state"] == "cancelled"'
[[ $(on_b domstate mg-s3) == running ]] || fail "a guest has stopped"
guest=mg-s3
[[ $(disks "$VMFERRY_LAB_HOSTB") == "vda file $work/mg-s3.raw" ]] || fail "a cancelled move has changed the definition"
! rbd ls | grep mg-s3 || fail "a cancelled move has left a volume"
ferry fleet resume "$steered" mg-s1
ferry fleet retry "$steered"
for fleet in "$killed" "$steered"; do
  wait_for 150 "$fleet" 'state == "ended"'
  [[ $(told "$fleet" 'totals["done"], totals["failed"]') == "(4, 0)" ]] || fail "$(ferry fleet status "$fleet")"
done
[[ $(told "$steered" 'all(job["before_bytes"] > 0 and job["after_bytes"] > 0 for job in jobs.values())') == True ]] || fail "no sizes"
python3 - "$state"/hostb/mg-slow-*.record <<'END'
import json, sys
kept = json.load(open(sys.argv[1]))["disks"][0]["kept_bytes"]
assert kept > 4 << 20, f"only {kept} bytes were kept of the copy that was paused"
END
ferry fleet status "$killed" | grep -q 'ended' || fail "$(ferry fleet status "$killed")"

for host in hosta hostb; do
  end_worker $host
done
moved_once
qemu-img convert -O raw -l before "$work/mg-k2.qcow2" before.raw
rbd export --no-progress rbd/mg-k2-vda@before - | cmp - before.raw || fail "the snapshot of mg-k2 is not what its image has"
nothing_left "$killed" "$steered"
for guest in mg-k4 mg-s3; do
  [[ $(virsh -q -c "${uri[${home[$guest]}]}" domstate $guest) == running ]] || fail "$guest does not run any more"
done
