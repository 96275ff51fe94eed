# SPDX-License-Identifier: LGPL-2.1-or-later
# What tests that move a guest have in common; they source it. Guests and volumes that begin with "mg" are removed at the end.
eval "$("$ROOT/tools/lab" env)"
lab="$ROOT/tools/lab"
guests="$VMFERRY_LAB/guests"
state="$work/state"
limit=$((470 << 20)) # bytes of the lab's guest on RBD: it has about 382 MiB of data
trap 'finish clear_guests' EXIT

on_a() {
  virsh -q -c "$VMFERRY_LAB_HOSTA" "$@"
}
on_b() {
  virsh -q -c "$VMFERRY_LAB_HOSTB" "$@"
}

# machines_down: takes those without a system away, wherever they are, with their volumes.
machines_down() {
  local host name names
  for host in "$VMFERRY_LAB_HOSTA" "$VMFERRY_LAB_HOSTB"; do
    mapfile -t names < <(virsh -q -c "$host" list --all --name | grep '^mg')
    for name in "${names[@]}"; do
      virsh -q -c "$host" destroy "$name" 2>/dev/null || true
      virsh -q -c "$host" undefine --checkpoints-metadata --snapshots-metadata "$name"
    done
  done
  volumes_down
}

# volumes_down: removes those of guests. With snapshots none goes, however long that is tried.
volumes_down() {
  local volume
  for volume in $(rbd ls | grep '^mg'); do
    rbd snap purge --no-progress "rbd/$volume" || true
    (until_true 40 rbd rm --no-progress "rbd/$volume") || true # a client that is gone is seen for a while
  done
}

clear_guests() {
  local guest pool
  # One that a failed test has stopped.
  [[ ! -s $VMFERRY_LAB/osd.pid ]] || kill -CONT "$(cat "$VMFERRY_LAB/osd.pid")"
  [[ $(virsh -q -c "$VMFERRY_LAB_HOSTB" hostname) == hostb ]] || "$lab" up
  for guest in "$guests"/mg*; do
    [[ ! -d $guest ]] || "$lab" guest down "${guest##*/}"
  done
  machines_down
  for pool in "${pools[@]}"; do
    ceph osd pool delete "$pool" "$pool" --yes-i-really-really-mean-it
  done
}

# start NAME [OPTION...]: a running guest on hosta, options of tools/lab. Sets $guest and $log.
start() {
  guest=$1
  "$lab" guest up "$@" >/dev/null
  log="$guests/$guest/serial.log"
}

# machine NAME DEVICES-XML [DOMAIN-XML]: defines one without a system on hosta, which sits in its BIOS; `on_a start` starts it. Sets $guest.
machine() {
  define_machine "$VMFERRY_LAB_HOSTA" "$@"
}
# define_machine HOST ...: the same there.
define_machine() {
  guest=$2
  cat >"$work/machine.xml" <<END
<domain type='qemu'><name>$2</name><memory unit='MiB'>64</memory>
<os><type arch='x86_64' machine='pc'>hvm</type></os>
<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
${4-}<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
$3
</devices></domain>
END
  virsh -q -c "$1" define "$work/machine.xml"
}

# file_disk PATH DEV [DRIVER-ATTRIBUTES]
file_disk() {
  echo "<disk type='file' device='disk'><driver name='qemu' ${3-type='raw'}/><source file='$1'/><target dev='$2' bus='virtio'/></disk>"
}

# volume_disk POOL/IMAGE DEV
volume_disk() {
  echo "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='$1'><config file='$CEPH_CONF'/>
<auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth></source><target dev='$2' bus='virtio'/></disk>"
}

# make_pool NAME: one for RBD. It is removed at the end.
make_pool() {
  pools+=("$1")
  ceph osd pool create "$1" 8 >/dev/null 2>&1
  rbd pool init "$1"
}
pools=()

# guest_io HOST N COMMAND: what the system would do to the N-th virtio disk of $guest, as qemu-io(1) says it.
guest_io() {
  virsh -q -c "$1" qemu-monitor-command "$guest" --hmp "qemu-io -d /machine/peripheral/virtio-disk$2/virtio-backend \"$3\""
}

# move [OPTION...]: vmferry migrate of $guest, from hosta to the pool rbd, with what QEMU needs to know.
move() {
  ferry migrate "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" --state-dir "$state" "$@"
}
secret=$("$lab" secret)

# move_in_background [OPTION...]: the same; its steps go to the file "steps", its result to "result". Sets $mover.
move_in_background() {
  rm -f steps # those of a run before are not to be waited for
  "$VMFERRY" migrate "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --secret-uuid "$secret" \
    --state-dir "$state" --progress json "$@" >result 2>steps &
  mover=$!
}

# Who reads from it waits, and starts no other process for that.
exec {never}<> <(:)

# read_steps: sets $said to what the mover has said so far. Without a process, as who waits asks often.
read_steps() {
  said=
  [[ ! -f steps ]] || IFS= read -r -d '' said <steps || true
}

# wait_for_step PATTERN: until the mover has begun a step whose text matches, or has ended.
wait_for_step() {
  local said pattern="\"step\":\"[^\"]*$1"
  read_steps
  until [[ $said =~ $pattern ]]; do
    kill -0 "$mover" 2>/dev/null || fail "it ended before the step '$1': $(cat steps)"
    read -r -t 0.005 -u "$never" || true
    read_steps
  done
}

# ended STATUS PATTERN: the mover ends with that status, and says something that matches.
ended() {
  local status=0
  wait "$mover" || status=$?
  [[ $status == "$1" ]] || fail "status $status, not $1: $(cat steps)"
  grep -Eq -- "$2" steps || fail "no '$2' in what it said: $(cat steps)"
}

# disks HOST [OPTION]: what the definition says: "vda file /path", "vda network rbd/volume".
disks() {
  virsh -q -c "$1" dumpxml ${2:+"$2"} "$guest" | python3 -c '
import sys, xml.etree.ElementTree as tree
for disk in tree.fromstring(sys.stdin.read()).findall("devices/disk"):
    source = disk.find("source")
    if source is not None:
        print(disk.find("target").get("dev"), disk.get("type"), source.get("file") or source.get("name"))'
}

# What host and definitions were, to be compared later.
picture() {
  disks "$VMFERRY_LAB_HOSTA"
  disks "$VMFERRY_LAB_HOSTA" --inactive
  on_a domstate "$guest"
  on_a dominfo "$guest" | grep -i autostart
  rbd ls | grep '^mg' || true
  find "$guests/$guest" -name '*overlay*' -o -name '*bridge*' -o -name '*vmferry*'
}

# times_written COUNT: so often at least.
times_written() {
  (($(grep -c '^wrote' "$log" || true) >= $1))
}

# lives HOST: it runs there and nowhere else, its heart beats, and its disk takes writes.
lives() {
  local other=$VMFERRY_LAB_HOSTB before
  [[ $1 == "$VMFERRY_LAB_HOSTA" ]] || other=$VMFERRY_LAB_HOSTA
  [[ $(virsh -q -c "$1" domstate "$guest") == running ]] || fail "$guest does not run on $1"
  [[ $(virsh -q -c "$other" domstate "$guest" 2>/dev/null) != running ]] || fail "$guest runs on $other, too"
  "$lab" guest wait "$guest"
  before=$(grep -c '^wrote' "$log" || true)   # none yet, where the guest has just started
  until_true 90 times_written $((before + 2)) # it may have to boot
}

# on_rbd HOST DEV...: both definitions name the volumes of these disks, by the names that vmferry gives them.
on_rbd() {
  local host=$1 how dev
  for how in "" --inactive; do
    for dev in "${@:2}"; do
      disks "$host" "$how" | grep -x "$dev network rbd/$guest-$dev" >/dev/null ||
        fail "the definition (${how:-live}) of $guest says: $(disks "$host" "$how")"
    done
  done
}

# Nothing that the guest wrote is lost, and nothing of it is broken.
files_whole() {
  "$lab" guest run "$guest" /usr/local/sbin/guest-check >/dev/null || fail "files of $guest are not what they were"
}

# clean VOLUME PARTITION_OFFSET HOST: its file system, frozen for a moment, has no error.
clean() {
  local snapshot="rbd/$1@check"
  virsh -q -c "$3" domfsfreeze "$guest" >/dev/null
  rbd snap create --no-progress "$snapshot"
  virsh -q -c "$3" domfsthaw "$guest" >/dev/null
  rbd export --no-progress "$snapshot" "$work/exported"
  rbd snap rm --no-progress "$snapshot"
  /sbin/e2fsck -fn "$work/exported?offset=$2" >"$work/fsck" 2>&1 || fail "the file system of $1 is damaged: $(cat "$work/fsck")"
  rm "$work/exported"
}

volume_used() {
  rbd du --format json "rbd/$1" 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["used_size"])'
}

thin() {
  local used
  used=$(volume_used "$1")
  ((used <= limit)) || fail "rbd/$1 takes $used bytes"
}

# arrived HOST: all of the above for a guest whose vda was moved.
arrived() {
  lives "$1"
  on_rbd "$1" vda
  files_whole
  clean "$guest-vda" $((1 << 20)) "$1"
  thin "$guest-vda"
  no_journal
  [[ -z $(find "$guests/$guest" -name '*overlay*' -o -name '*bridge*') ]] || fail "overlays are left: $(ls "$guests/$guest")"
}

# no_journal: no run of $guest is left half done.
no_journal() {
  [[ -z $(find "$state" -name "${guest:-*}.json" 2>/dev/null) ]] || fail "a journal is left: $(ls "$state")"
}

# untouched PICTURE: all is as it was when the picture was taken, and the guest is well.
untouched() {
  lives "$VMFERRY_LAB_HOSTA"
  [[ $(picture) == "$1" ]] || fail "not as it was: $(diff <(echo "$1") <(picture))"
  files_whole
  no_journal
}
