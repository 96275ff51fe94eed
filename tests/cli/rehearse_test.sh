# SPDX-License-Identifier: LGPL-2.1-or-later
# What `vmferry rehearse` says before it talks to any host. The rest needs hosts: tests/lab.

expect 1 "no sync of it is known: there is no $PWD/state/web1.sync" ferry rehearse web1 --state-dir state
[[ ! -e state ]] || fail "it made a state directory"
expect 2 "--wait soon names no sign" ferry rehearse web1 --state-dir state --wait soon
expect 2 "--wait 0 names no sign" ferry rehearse web1 --state-dir state --wait 0
expect 2 "--wait 60 is longer than --timeout 50" ferry rehearse web1 --state-dir state --wait 60 --timeout 50
expect 2 "--to excludes --clean|--clean excludes --to" ferry rehearse --clean web1 --to qemu:///system
expect 2 "is not a valid size" ferry rehearse web1 --memory lots
mkdir state
expect 0 "web1: no rehearsal left anything" ferry rehearse --clean web1 --state-dir state
[[ -z $(ls state) ]] || fail "left: $(ls state)"

# Names of machines lead nowhere.
expect 1 "state/%2e%2e%2fweb1.sync|state/%2e.%2fweb1.sync" ferry rehearse ../web1 --state-dir state
echo '{"format": 99}' >state/web1.sync
expect 1 "damaged, or of another version" ferry rehearse web1 --state-dir state
echo '{"format": 1, "state": {"request": {"from": "qemu:///system?socket=/nowhere"}, "disks": [{"dev": "vda"}], "rounds": [{"number": 1}]}}' >state/web1.sync
expect 1 "connect" ferry rehearse web1 --state-dir state
touch here.png
expect 1 "here.png: write the screenshot: the file exists" ferry rehearse web1 --state-dir state --screenshot here.png
expect 1 "nodir/x: write the screenshot: there is no directory $PWD/nodir" ferry rehearse web1 --state-dir state --screenshot nodir/x
expect 1 "there is no directory $PWD/here.png" ferry rehearse web1 --state-dir state --screenshot here.png/x
expect 2 "no guest runs with 1 byte.* of memory" ferry rehearse web1 --state-dir state --memory 1
expect 2 "write it with a unit: --memory 512M" ferry rehearse web1 --state-dir state --memory 512

# A warm move that is about to end is not rehearsed.
for kind in cutover stop; do
  echo '{"format": 2, "plan": {"kind": "'$kind'", "request": {"domain": "web1"}}}' >state/web1.json
  expect 1 "did not end; its journal is" ferry rehearse web1 --state-dir state
  expect 1 "hint: end that one first: vmferry (cutover|sync) --recover web1" ferry rehearse web1 --state-dir state
done
sed -i 's/"stop"/"sync"/' state/web1.json
expect 1 "connect" ferry rehearse web1 --state-dir state # what the sync before it left stays
rm state/web1.json

# What cannot be understood is not removed.
echo 'not json' >state/web1.rehearsal
expect 1 "read what a rehearsal left" ferry rehearse --clean web1 --state-dir state
[[ $(ls state) == $'web1.rehearsal\nweb1.sync' ]] || fail "in the state directory: $(ls state)"
