# SPDX-License-Identifier: LGPL-2.1-or-later
# A fleet whose guests move warm: they are synchronised at once, and cut over in the hours for that, one to another host. One is
# cancelled in between.
source "$ROOT/tests/lab/fleet_helpers.sh"
fleet=mg-warm-$$

guest_on hosta mg-sunday raw 8
guest_on hosta mg-never qcow2 4
guest_on hosta mg-off raw 2
on_a start mg-sunday
on_a start mg-never
plan --way warm
[[ $(grep -c '^way = "warm"' plan.toml) == 2 && $(grep -c '^way = "offline"' plan.toml) == 1 ]] || fail "$(cat plan.toml)"
limit_to cutover_window "[\"$(date -u -d '+2 hours' +%H:%M)-$(date -u -d '+3 hours' +%H:%M)\"]"
sed -i '/^name = "mg-sunday"/,/^wave/ s,^wave.*,&\ncutover_wave = 3\nto = "'"$VMFERRY_LAB_HOSTB"'"\ntarget_host = "hostb",; /^name = "mg-off"/,/^wave/ s/^wave.*/wave = 2/' plan.toml
ferry fleet plan --check plan.toml >/dev/null
ferry fleet submit plan.toml --name "$fleet"
TZ=UTC begin_worker hosta

wait_for 30 "$fleet" 'jobs["mg-sunday"].get("synced") and jobs["mg-never"].get("synced")'
[[ $(told "$fleet" 'jobs["mg-sunday"]["state"], jobs["mg-sunday"]["wave"]') == "('pending', 3)" ]] || fail "$(ferry fleet status "$fleet")"
ferry fleet status "$fleet" | grep -q 'mg-sunday .*synchronised' || fail "$(ferry fleet status "$fleet")"
wait_for 10 "$fleet" 'any("outside of the hours of cutovers" in worker["waiting"] for worker in workers)'
[[ $(rbd snap ls --format json rbd/mg-sunday-vda) == *vmferry-sync-1* ]] || fail "there is no snapshot of the sync"

# What the guest writes from now on is what the cutover has to bring.
cp "$work/mg-sunday.raw" expected.raw
guest=mg-sunday
for io in "write -P 7 1M 256k" "write -P 9 80M 64k"; do
  guest_io "$VMFERRY_LAB_HOSTA" 0 "$io" >/dev/null
  qemu-io -f raw -c "$io" expected.raw >/dev/null
done

# One that is cancelled is on its old disk again, and its volume goes. Then the next wave begins.
ferry fleet cancel "$fleet" mg-never
wait_for 20 "$fleet" 'jobs["mg-never"]["state"] == "cancelled"'
guest=mg-never
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $work/mg-never.qcow2" ]] || fail "$(disks "$VMFERRY_LAB_HOSTA")"
unset 'home[mg-never]'
! rbd ls | grep mg-never || fail "a cancelled move has left a volume"
wait_for 20 "$fleet" 'jobs["mg-off"]["state"] == "done"'
is_so "$fleet" 'jobs["mg-sunday"]["state"] == "pending"' || fail "it was cut over before its hours"

# Their hours come, by the clock of the worker.
end_worker hosta
TZ=LAB-2:30 begin_worker hosta
wait_for 30 "$fleet" 'state == "ended"'
[[ $(told "$fleet" 'totals["done"], totals["failed"]') == "(2, 0)" ]] || fail "$(ferry fleet status "$fleet")"
end_worker hosta
rbd export --no-progress rbd/mg-sunday-vda - | cmp - expected.raw || fail "the volume is not what the guest wrote"
guest=mg-sunday
on_rbd "$VMFERRY_LAB_HOSTB" vda
expect 1 "failed to get domain" on_a domstate mg-sunday
nothing_left "$fleet"
unset 'home[mg-sunday]'
moved_once
[[ -z $(find "$state" -name '*.sync') ]] || fail "the state of a warm move is left: $(ls "$state/hosta")"
[[ -z $(rbd snap ls rbd/mg-sunday-vda) ]] || fail "snapshots are left"
[[ $(on_b domstate mg-sunday) == running && $(on_a domstate mg-never) == running ]] || fail "a guest does not run any more"
