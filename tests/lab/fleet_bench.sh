# SPDX-License-Identifier: LGPL-2.1-or-later
# Measures a fleet of small guests that are off, on two hosts with three workers, beside `vmferry migrate` for one after the other.
# In a lab that does nothing else: tests/run-script tests/lab/fleet_bench.sh build/release/vmferry
source "$ROOT/tests/lab/fleet_helpers.sh"
count=${COUNT:-60}
fleet=mg-bench-$$

make_guests() { # as many for each worker
  local number
  for ((number = 1; number <= count; ++number)); do
    guest_on "host$([[ $((number % 3)) == 0 ]] && echo b || echo a)" "mg-g$number" raw 4
  done
}
# clock: seconds, and those that the processors were not idle.
clock() {
  awk 'NR == 1 { printf "%.2f ", ($2 + $3 + $4 + $6 + $7 + $8) / 100 }' /proc/stat
  cut -d' ' -f1 /proc/uptime
}
# since BUSY UPTIME: the same since then.
since() {
  local busy now
  read -r busy now < <(clock)
  awk -v busy="$busy" -v now="$now" -v from="$1" -v began="$2" 'BEGIN { printf "%.1f %.1f\n", now - began, busy - from }'
}

make_guests
read -r busy began < <(clock)
for name in "${!home[@]}"; do
  ferry migrate "$name" --connect "${uri[${home[$name]}]}" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state/one" -q
done
read -r alone alone_busy < <(since "$busy" "$began")
machines_down >/dev/null

make_guests
plan --jobs 6
limit_to jobs_per_host 4
ferry fleet submit plan.toml --name "$fleet" >/dev/null
read -r busy began < <(clock)
begin_worker hosta --once --slots "${SLOTS:-1}"
first=${worker[hosta]}
begin_worker hosta --once --slots "${SLOTS:-1}"
begin_worker hostb --once --slots "${SLOTS:-1}"
wait "$first" "${worker[hosta]}" "${worker[hostb]}"
read -r together together_busy < <(since "$busy" "$began")
[[ $(told "$fleet" 'totals["done"]') == "$count" ]] || fail "$(ferry fleet status "$fleet")"
moved_once
awk -v a="$alone" -v ab="$alone_busy" -v t="$together" -v tb="$together_busy" -v n="$count" -v p="$(nproc)" 'BEGIN {
  printf "%d guests one after the other: %.1f s (%.2f s each), the %d processors busy for %.1f s\n", n, a, a / n, p, ab
  printf "as a fleet, three workers: %.1f s, busy for %.1f s; %.2f times as fast\n", t, tb, a / t }'
