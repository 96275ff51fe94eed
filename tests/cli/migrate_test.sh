# SPDX-License-Identifier: LGPL-2.1-or-later
# What `vmferry migrate` says before it talks to any host. The rest needs hosts: tests/lab.

expect 2 "no volume is named" ferry migrate web1
expect 2 "no place is named in --disk vda" ferry migrate web1 --disk vda
expect 2 "/x: does not name an RBD volume" ferry migrate web1 --disk vda=/x
expect 2 "open no RADOS namespace" ferry migrate web1 --disk vda=rbd:p/ns/i
expect 2 "options of the cluster" ferry migrate web1 --disk vda=rbd:p/i:id=x
# A key of the cluster, or a password, that somebody wrote into a place is not shown.
refused_in_silence() { # COMMAND...
  ! ferry "$@" >said.txt 2>&1 || fail "it was taken: $*"
  ! grep -q sekret said.txt || fail "the secret is shown: $* said: $(cat said.txt)"
}
for disk in =rbd:p/i:key=sekret vda=rbd:p/i:key=sekret vda=rbd:p/i@s:key=sekret vda=rbd:p/n/i:key=sekret vda=rbd:p:key=sekret \
  vda=foo://user:sekret@host/disk foo://user:sekret@host/disk; do
  refused_in_silence migrate web1 --disk "$disk"
  refused_in_silence rewrite "$ROOT/xml/aarch64.xml" --disk "$disk"
done
refused_in_silence migrate web1 --to-dir d --disk vda=rbd:p/i:key=sekret
refused_in_silence convert rbd:p/i:sekret x.raw
refused_in_silence convert foo://user:sekret@host/disk x.raw
expect 2 "names vda twice" ferry migrate web1 --disk vda=rbd:p/i --disk vda=rbd:p/j
expect 2 "do not go together" ferry migrate web1 --pool p --to-dir d
expect 2 "a volume is named in --disk vda" ferry migrate web1 --to-dir d --disk vda=rbd:p/i
expect 2 "name one secret twice" ferry migrate web1 --pool p --id u --secret-uuid a --secret-usage b
expect 2 "a secret without a user" ferry migrate web1 --pool p --define-secret
expect 2 "" ferry migrate web1 --pool p --mode sideways
expect 1 "connect" ferry migrate web1 --pool p --connect "qemu:///system?socket=$PWD/none"
expect 1 "there is no journal of a migration" ferry migrate web1 --recover --state-dir "$PWD/state"
[[ ! -e state ]]
# What is above a link is not what stands before it.
mkdir -p elsewhere/inner
ln -s elsewhere/inner link
expect 1 "$PWD/link/../state/web1.json" ferry migrate web1 --recover --state-dir link/../state
expect 1 "$PWD/state/web1.json" ferry migrate web1 --recover --state-dir ./state

# What is settled once a run has begun is not ignored, but refused.
expect 2 "--pool cannot be given to --recover" ferry migrate --recover web1 --pool vms
expect 2 "--disk cannot be given to --recover" ferry migrate --recover web1 --disk vda=rbd:vms/a
expect 2 "--secret-usage cannot be given to --recover" ferry migrate --recover web1 --secret-usage a
expect 2 "" ferry migrate --recover --undo --stay web1

# A run that did not end is told of before any host is asked, also where it is only looked; so is the command that ends it.
mkdir state
unended() { # KIND CAUSE COMMAND-THAT-RECOVERS COMMAND...
  local cause=$2 recovers=$3
  echo '{"format": 2, "plan": {"kind": "'"$1"'", "request": {"domain": "web1"}}}' >state/web1.json
  shift 3
  expect 1 "$cause did not end; its journal is .*state/web1.json" ferry "$@" --state-dir state --connect "$nowhere"
  expect 1 "hint: end that one first: vmferry $recovers --recover web1 --state-dir" ferry "$@" --state-dir state --connect "$nowhere"
}
nowhere="qemu:///system?socket=$PWD/none"
for look in "" --check --dry-run; do
  unended move "an earlier run" migrate migrate web1 --pool p $look
  unended cutover "a cutover of it" cutover migrate web1 --pool p $look
  unended cutover "a cutover of it" cutover sync web1 --pool p $look
  unended cutover "a cutover of it" cutover sync --stop web1 $look
  unended cutover "a cutover of it" cutover cutover web1 $look
  unended stop "its warm move was being given up, and that" sync sync --stop web1 $look
  unended stop "its warm move was being given up, and that" sync cutover web1 $look
  [[ -z $look ]] || unended sync "a sync of it" sync sync web1 --pool p $look
done
expect 1 "a sync that did not end is recovered first" ferry sync web1 --pool p --state-dir state --connect "$nowhere"
exec 9>state/web1.json.lock
flock 9
expect 1 "another vmferry is synchronising it" ferry sync --check web1 --pool p --state-dir state --connect "$nowhere"
exec 9>&-
