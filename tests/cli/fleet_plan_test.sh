# SPDX-License-Identifier: LGPL-2.1-or-later
# Plans of a fleet that are edited into nonsense, and command lines that make none: all of it is said before anybody is asked.
cat >good.toml <<'END'
format = 1
pool = "vms"
[limits]
jobs = 2
[[guest]]
name = "web1"
connect = "qemu+ssh://h1/system"
host = "h1"
uuid = "6b1c2a3e-55d1-4f5c-9f0e-0a1b2c3d4e5f"
way = "live"
[[guest.disk]]
dev = "vda"
target = "rbd:vms/web1-vda"
END

# wrong PATTERN SED-SCRIPT: what is said of the plan that was edited so.
wrong() {
  sed "$2" good.toml >plan.toml
  expect 2 "$1" timeout 20 "$VMFERRY" fleet plan --check plan.toml
}
wrong "plan.toml:4: 'jobs' is 0; it has to be 1 at least" 's/jobs = 2/jobs = 0/'
expect 2 "plan.toml:4: 'jobs' is 0" timeout 20 "$VMFERRY" fleet submit plan.toml --name x
wrong "plan.toml:4: \[limits\] has no key 'job'; it may have bandwidth, cutover_window, jobs, " 's/jobs = 2/job = 2/'
wrong "plan.toml:10: 'way' is \"fast\"; it has to be live, offline or warm" 's/live/fast/'
wrong "plan.toml:2: " 's/"vms"/"vms/'
wrong "plan.toml:12: 'dev' is a whole number; it has to be a text" 's/"vda"/1/'
wrong "plan.toml:13: 'target': " 's,rbd:vms/web1-vda,/dev/sda,'
wrong "plan.toml:4: 'window' has \"25:00-26:00\"" 's/jobs = 2/window = ["25:00-26:00"]/'
wrong "plan.toml:4: 'bandwidth'" 's/jobs = 2/bandwidth = "fast"/'
wrong "plan.toml:9: 'uuid'" 's/6b1c2a3e/6b1c2a3/'
wrong "plan.toml:5: \[\[guest\]\] has no \[\[guest.disk\]\]" 's/guest.disk/guest.disk2/'
wrong "also wrong: line 11: \[\[guest\]\] has no key 'disk2'" 's/guest.disk/guest.disk2/'
wrong "plan.toml:5: \[\[guest\]\] has no 'name'" '/^name/d'
wrong "also wrong: line 10: 'way'" 's/jobs = 2/jobs = 0/; s/live/fast/'
cat good.toml >twice.toml
sed -n '5,$p' good.toml >>twice.toml
expect 2 "twice.toml:15: web1 of h1 is there twice, as in line 5" timeout 20 "$VMFERRY" fleet plan --check twice.toml
sed 's/format = 1/format = 9/' good.toml >newer.toml
expect 1 "newer.toml:1: format 9 is of a newer vmferry; this one reads format 1" timeout 20 "$VMFERRY" fleet plan --check newer.toml
truncate -s 100M large.toml
expect 1 "a plan has 16 MiB at most" timeout 20 "$VMFERRY" fleet plan --check - <large.toml
expect 1 "gone.toml: open: No such file" ferry fleet plan --check gone.toml
printf 'format = 1\npool = "a\033[31m"\n' >plan.toml
expect 2 "plan.toml:2: " ferry fleet plan --check plan.toml

expect 2 "no host is named" ferry fleet plan --pool vms
expect 2 "no pool is named" ferry fleet plan --connect qemu:///system
expect 2 "a secret without a user" ferry fleet plan --connect qemu:///system --pool vms --define-secret
expect 2 "name one secret twice" ferry fleet plan --connect qemu:///system --pool vms --id a --secret-uuid u --secret-usage v
for option in --pool=vms --connect=qemu:///system --id=a --way=live --define-secret --output=o; do
  expect 2 "${option%=*} is for a new plan" ferry fleet plan --check good.toml "$option"
done
expect 2 "a warm move copies disks" ferry fleet plan --connect qemu:///system --pool vms --way warm --rewrite-only
expect 2 "'{what}' means nothing" ferry fleet plan --connect qemu:///system --pool vms --name-template '{what}'
expect 2 "see 'vmferry fleet plan --help'" ferry fleet plan --jobs 0
expect 2 "see 'vmferry fleet --help'" ferry fleet
expect 2 "see 'vmferry fleet --help'" ferry fleet nonsense
