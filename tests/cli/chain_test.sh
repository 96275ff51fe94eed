# SPDX-License-Identifier: LGPL-2.1-or-later
#
# States of a disk as a chain of images: each is what QEMU reads of that state, and the newest link can be added alone.

change() {
  local command commands=()
  for command in "$@"; do
    commands+=(-c "$command")
  done
  qemu-io "${commands[@]}" web.qcow2 >/dev/null
}
# is_state IMAGE SNAPSHOT: "": the disk as it is now.
is_state() {
  if [[ -n $2 ]]; then
    qemu-img convert -O raw -l "snapshot.name=$2" web.qcow2 expected
  else
    qemu-img convert -O raw web.qcow2 expected
  fi
  qemu-img check -q "$1" || fail "qemu-img check $1: $(qemu-img check "$1")"
  qemu-img convert -O raw "$1" found
  same found expected
  ferry convert -q --force -f qcow2 "$1" found
  same found expected
}

qemu-img create -q -f qcow2 web.qcow2 40M
change 'write -P 1 0 30M' 'write -P 2 35M 1M'
qemu-img snapshot -c mon web.qcow2
change 'write -P 3 1M 100k' 'write -z 20M 3M' 'discard 25M 1M'
qemu-img snapshot -c 'tue/@ day' web.qcow2
change 'write -P 4 39M 1M'
mkdir dir
expect 0 "dir/web-03-now.qcow2: " ferry convert --chain dir --verify web.qcow2
[[ $(cd dir && echo *) == "web-01-mon.qcow2 web-02-tue___day.qcow2 web-03-now.qcow2" ]] || fail "made: $(ls dir)"
is_state dir/web-01-mon.qcow2 mon
is_state dir/web-02-tue___day.qcow2 'tue/@ day'
is_state dir/web-03-now.qcow2 ""
# Each has what changed, and zeros where something was discarded.
(($(allocated dir/web-02-tue___day.qcow2) < 1200000)) || fail "a link takes $(allocated dir/web-02-tue___day.qcow2)"
qemu-img map --output json dir/web-02-tue___day.qcow2 | grep -q '"start": 20971520, "length": 3145728, "depth": 0, "present": true, "zero": true' || fail "no zeros: $(qemu-img map dir/web-02-tue___day.qcow2)"
[[ $(qemu-img info --output json dir/web-03-now.qcow2 | grep -o '"backing-filename": "[^"]*"') == '"backing-filename": "web-02-tue___day.qcow2"' ]] || fail "its backing file"
expect 0 "state +snapshot tue/@ day \(id 2\)" ferry info -f qcow2 dir/web-02-tue___day.qcow2
# They go together to another place.
mv dir elsewhere
is_state elsewhere/web-03-now.qcow2 ""
# And come back as snapshots.
ferry convert -q -f qcow2 --chain-as-snapshots -O qcow2 elsewhere/web-03-now.qcow2 back.qcow2
qemu-img check -q back.qcow2
qemu-img convert -O raw -l snapshot.id=1 back.qcow2 found
qemu-img convert -O raw -l snapshot.name=mon web.qcow2 expected
same found expected
expect 1 "there is a chain of this disk already" ferry convert --chain elsewhere web.qcow2
expect 1 "its newest image web-03-now.qcow2 holds no snapshot" ferry convert --chain elsewhere --since 'tue/@ day' web.qcow2

# Links that are added alone.
rm elsewhere/web-03-now.qcow2
expect 1 "holds the snapshot 'tue/@ day' \(id 2\), not the snapshot 'mon' \(id 1\)" ferry convert --chain elsewhere --since mon web.qcow2
expect 1 "there is no snapshot 'sun'" ferry convert --chain elsewhere --since sun web.qcow2
qemu-img snapshot -c wed web.qcow2
change 'write -P 5 0 1M'
qemu-img resize -q web.qcow2 50M
change 'write -P 6 45M 1M'
qemu-img snapshot -c thu web.qcow2
change 'write -P 7 5M 1M'
for how in "--compress zstd" "--cluster-size 512"; do
  rm -rf dir
  cp -r elsewhere dir
  # shellcheck disable=SC2086 # words
  ferry convert -q --chain dir --since 'tue/@ day' --snapshots wed,thu --verify=read $how web.qcow2
  [[ $(cd dir && echo *) == "web-01-mon.qcow2 web-02-tue___day.qcow2 web-03-wed.qcow2 web-04-thu.qcow2 web-05-now.qcow2" ]] || fail "made: $(ls dir)"
  is_state dir/web-05-now.qcow2 ""
  qemu-img convert -O raw dir/web-03-wed.qcow2 found
  qemu-img convert -O raw -l snapshot.name=wed web.qcow2 expected
  truncate -s 40M expected
  same found expected
done

# What cannot be.
expect 1 "none: list the directory: No such file" ferry convert --chain none web.qcow2
expect 2 "there is no target" ferry convert web.qcow2
expect 2 "--chain and a target" ferry convert --chain dir web.qcow2 out.qcow2
expect 2 "each over another one, which raw images cannot be" ferry convert --chain dir -O raw web.qcow2
expect 2 "to-ceph-conf: the target is not on Ceph" ferry convert --chain dir --to-ceph-conf other.conf web.qcow2
expect 2 "to-id: the target is not on Ceph" ferry convert --to-id backup web.qcow2 out.qcow2
expect 2 "such an image cannot have snapshots" ferry convert --chain dir expected
expect 2 "since requires --chain" ferry convert --since mon web.qcow2 x.qcow2

# Killed in the second link: the first is whole, the second has no name, and the next run goes on.
qemu-img create -q -f qcow2 db.qcow2 40M
qemu-io -c 'write -P 1 0 64k' db.qcow2 >/dev/null
qemu-img snapshot -c mon db.qcow2
qemu-io -c 'write -P 2 10M 10M' db.qcow2 >/dev/null
"$VMFERRY" convert -q --chain dir --rate-limit 2M db.qcow2 &
run=$!
until_true 10 test -s dir/.db-02-now.qcow2.vmferry-partial
kill -KILL $run
wait $run || true
[[ $(cd dir && echo db*) == db-01-mon.qcow2 ]] || fail "left: $(ls -A dir)"
qemu-img check -q dir/db-01-mon.qcow2
ferry convert -q --chain dir --since mon db.qcow2
qemu-img compare -q db.qcow2 dir/db-02-now.qcow2
no_leftovers
