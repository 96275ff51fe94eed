# SPDX-License-Identifier: LGPL-2.1-or-later
# One run at a time writes a volume, from its first byte to its last rename; and whoever else comes to the volume that
# --force replaces keeps what is his.
eval "$("$ROOT/tools/lab" env)"
locker_of() {
  rbd lock ls "$1" | awk '$2 == "mine" { print $1 }'
}
id_of() {
  rbd info "$1" | sed -n 's/^\tid: //p'
}
clear_pools() {
  local pool
  for pool in cl-ec cl-snaps; do ceph osd pool rm $pool $pool --yes-i-really-really-mean-it; done
}
tidy() {
  [[ -z ${busy:-} ]] || kill "$busy"
  rbd group rm rbd/cl-group
  rbd lock rm rbd/cl-2 mine "$(locker_of rbd/cl-2)"
  rbd migration abort --no-progress rbd/cl-move
  for volume in $(rbd trash ls | awk '/ cl-/ { print $1 }'); do rbd trash rm --no-progress "$volume"; done
  clear_volumes cl-
  ceph auth rm client.cl-old
  clear_pools
}
trap 'finish tidy' EXIT
make_disk disk.raw
truncate -s 20000001 old.raw
printf old | dd of=old.raw conv=notrunc status=none

listed() { # names that begin with $1, in one line
  rbd ls | grep "^$1" | tr '\n' ' '
}
is_there() {
  rbd info "rbd/$1"
}

# Two runs: the second is told who is at work, and the first ends well. Then nothing is left of the claim.
"$VMFERRY" convert -q --rate-limit 256K disk.raw rbd:rbd/cl-1 &
first=$!
until_true 10 is_there cl-1.vmferry-partial
expect 1 "another vmferry is writing this target \(process $first on $(hostname)\)" ferry convert disk.raw rbd:rbd/cl-1
expect 1 "another vmferry is writing this target" ferry convert --force disk.raw rbd:rbd/cl-1
wait "$first"
rbd export --no-progress rbd/cl-1 - | cmp - disk.raw
[[ $(listed cl-1) == "cl-1 " ]] || fail "left: $(listed cl-1)"
! rados -p rbd ls | grep claim.cl- || fail "a claim is left"

# A killed run's claim ends, and the next one clears up. A volume that was half renamed when its run died, by hand: both
# names lead to it, and the pool's directory knows the old one.
"$VMFERRY" convert -q --rate-limit 256K disk.raw rbd:rbd/cl-2 &
first=$!
"$VMFERRY" convert -q --rate-limit 256K disk.raw rbd:rbd/cl-7 & # for later
second=$!
until_true 10 is_there cl-2.vmferry-partial
until_true 10 is_there cl-7.vmferry-partial
kill -KILL "$first" "$second"
wait "$first" "$second" || true
rados -p rbd get rbd_id.cl-2.vmferry-partial id
rados -p rbd put rbd_id.cl-2 id
expect 1 "if it was killed, its claim ends after 30 seconds" ferry convert disk.raw rbd:rbd/cl-2
until_true 40 ferry convert -q disk.raw rbd:rbd/cl-2
rbd export --no-progress rbd/cl-2 - | cmp - disk.raw
[[ $(listed cl-2) == "cl-2 " ]] || fail "left: $(listed cl-2)"

# Who comes while --force copies, keeps the volume and what it wrote.
for who in guest snapshot resize; do
  volume=cl-3-$who
  rbd import --no-progress old.raw "rbd/$volume"
  "$VMFERRY" convert -q --force --rate-limit 4M disk.raw "rbd:rbd/$volume" 2>said &
  run=$!
  until_true 10 is_there "$volume.vmferry-partial"
  kill -STOP "$run" # the copy does not end before somebody has come
  case $who in
    guest)
      rbd bench --io-type write --io-size 4K --io-threads 1 --io-total 4G "rbd/$volume" >/dev/null 2>&1 &
      busy=$!
      until_true 10 is_watched "rbd/$volume"
      pattern="a client has the volume open"
      ;;
    snapshot)
      rbd snap create --no-progress "rbd/$volume@monday"
      pattern="has snapshots, as 'rbd/$volume@monday'"
      ;;
    resize)
      rbd resize --no-progress --size 64M "rbd/$volume"
      pattern="meanwhile"
      ;;
  esac
  kill -CONT "$run"
  status=0
  wait "$run" || status=$?
  [[ $status == 1 ]] || fail "$who: status $status"
  grep -q "$pattern" said || fail "$who: $(cat said)"
  [[ $(listed "$volume") == "$volume " ]] || fail "$who: $(listed "$volume")"
  rm -f now.raw
  rbd export --no-progress "rbd/$volume" now.raw
  [[ $who == guest || $(head -c 3 now.raw) == old ]] || fail "$who: the old volume changed"
  [[ $who != guest ]] || { kill "$busy" && wait "$busy" 2>/dev/null || busy=; }
done

# What could not be replaced in the end is refused before anything is made.
rbd group create rbd/cl-group
rbd group image add rbd/cl-group rbd/cl-2
expect 1 "belongs to the group 'rbd/cl-group'.*" ferry convert --force disk.raw rbd:rbd/cl-2
rbd group rm rbd/cl-group
rbd lock add rbd/cl-2 mine 2>/dev/null
expect 1 "the volume is locked \('mine'\)" ferry convert --force disk.raw rbd:rbd/cl-2
rbd lock rm rbd/cl-2 mine "$(locker_of rbd/cl-2)"
rbd create --size 5M rbd/cl-from
rbd migration prepare rbd/cl-from rbd/cl-move
expect 1 "the target of an 'rbd migration' that is not committed" ferry convert --force disk.raw rbd:rbd/cl-move
rbd migration abort --no-progress rbd/cl-move
[[ $(listed cl-2) == "cl-2 " ]] || fail "left: $(listed cl-2)"

# Pools that cannot keep volumes are refused by name. This one is never healthy: it wants three OSDs.
ceph osd pool create cl-ec 4 4 erasure >/dev/null 2>&1
expect 2 "the pool 'cl-ec' is erasure-coded" timeout 30 "$VMFERRY" convert disk.raw rbd:cl-ec/a
expect 2 "'ceph osd pool set cl-ec allow_ec_overwrites true'" timeout 30 "$VMFERRY" convert --data-pool cl-ec disk.raw rbd:rbd/a
ceph osd pool create cl-snaps 4 >/dev/null 2>&1
ceph osd pool mksnap cl-snaps monday >/dev/null 2>&1
expect 2 "snapshots of the pool 'cl-snaps' as a whole" ferry convert disk.raw rbd:cl-snaps/a
clear_pools >/dev/null 2>&1 # who looks for clones looks into each pool

# A volume of somebody else that was never made, or removed, to its end: the hint is a command that works.
rbd create --size 5M rbd/cl-4
rados -p rbd rm "rbd_header.$(id_of rbd/cl-4)"
expect 1 "'rbd rm rbd/cl-4' removes what is left" ferry convert disk.raw rbd:rbd/cl-4
rbd rm --no-progress rbd/cl-4 2>/dev/null || true
ferry convert -q disk.raw rbd:rbd/cl-4

# A removal of the old volume that was stopped half-way is ended by the next run.
rbd create --size 5M rbd/cl-4.vmferry-old
id=$(id_of rbd/cl-4.vmferry-old)
rbd trash mv rbd/cl-4.vmferry-old
rados -p rbd getomapval rbd_trash "id_$id" entry >/dev/null 2>&1
printf '\3' | dd of=entry bs=1 seek=6 conv=notrunc status=none # source: REMOVING
rados -p rbd setomapval rbd_trash "id_$id" <entry
rbd ls | grep -q cl-4.vmferry-old || fail "this is not how Ceph marks what is being removed"
ferry convert -q --force disk.raw rbd:rbd/cl-4
[[ $(listed cl-4) == "cl-4 " ]] || fail "left: $(listed cl-4)"

# Names of unfinished copies are nobody's targets: a run to cl-5 would remove them as its own.
for name in cl-5.vmferry-partial cl-5.vmferry-old; do
  expect 2 "names that end with '.vmferry-[a-z]*' are for unfinished copies" ferry convert disk.raw "rbd:rbd/$name"
done

# What --force replaces is asked whether somebody was there, also one who read, wrote, and is gone.
rbd import --no-progress old.raw rbd/cl-6
rbd config image set rbd/cl-6 rbd_atime_update_interval 1
"$VMFERRY" convert -q --force --rate-limit 2M disk.raw rbd:rbd/cl-6 2>said &
run=$!
until_true 10 is_there cl-6.vmferry-partial
sleep 1
kill -STOP "$run" # the copy does not end before this client has come and gone
qemu-io -f raw -c 'read 0 4k' -c 'write -P 7 1M 64k' -c flush "rbd:rbd/cl-6:conf=$CEPH_CONF:rbd_atime_update_interval=1" >/dev/null
kill -CONT "$run"
! wait "$run" || fail "replaced what somebody wrote to"
grep -q "meanwhile" said || fail "said: $(cat said)"
qemu-io -f raw -r -c 'read -P 7 1M 64k' "rbd:rbd/cl-6:conf=$CEPH_CONF" | grep 'read 65536/65536' >/dev/null || fail "the write is lost"

# Clones that stand in the way: the commands work.
rbd snap create --no-progress rbd/cl-6@s
rbd clone --rbd-default-clone-format 2 rbd/cl-6@s rbd/cl-clone
expect 1 "as 'rbd/cl-clone'.*" ferry convert --force disk.raw rbd:rbd/cl-6
expect 1 "'rbd flatten rbd/cl-clone'" ferry convert --force disk.raw rbd:rbd/cl-6
rbd trash mv rbd/cl-clone
said=$("$VMFERRY" convert --force disk.raw rbd:rbd/cl-6 2>&1) || true
command=$(sed -n "s/.*'\(rbd trash rm [^']*\)'.*/\1/p" <<<"$said")
[[ -n $command ]] || fail "said: $said"
$command --no-progress
rbd snap rm --no-progress rbd/cl-6@s
ferry convert -q --force disk.raw rbd:rbd/cl-6

# A killed run may be asleep. Who may not cut it off is told what helps.
ceph auth get-or-create client.cl-old mon 'allow r' osd 'allow class-read object_prefix rbd_children, allow rwx pool=rbd' -o old.keyring
until_true 45 is_unwatched rbd/cl-7.vmferry-partial
expect 1 "may only be asleep, and this user may not cut it off" ferry convert --id cl-old --keyring old.keyring disk.raw rbd:rbd/cl-7
ferry convert -q disk.raw rbd:rbd/cl-7
ceph auth rm client.cl-old 2>/dev/null
[[ $(listed cl-7) == "cl-7 " ]] || fail "left: $(listed cl-7)"

# Half a volume under the name of the old one.
rbd create --size 5M rbd/cl-8.vmferry-old
rados -p rbd rm "rbd_header.$(id_of rbd/cl-8.vmferry-old)"
expect 1 "'rbd rm rbd/cl-8.vmferry-old' removes what is left" ferry convert disk.raw rbd:rbd/cl-8
until_true 40 rbd rm --no-progress rbd/cl-3-guest # who wrote to it was killed
