# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 in each step of a live move, back to files and to RBD, with the machine running on or stopped, too: --recover finishes or
# undoes it, and no byte is lost. QEMU finds no key but the one of the secret that the definition names, so no chain may lose it.
source "$ROOT/tests/lab/guest_helpers.sh"

sed '/keyring/d' "$CEPH_CONF" >keyless.conf
volume=rbd/mg-rec-vda
# What the volume has from the start. It takes a few seconds with the limit of --rate-limit.
head -c 8M /dev/urandom >seed
truncate -s 32M seed
mkdir files

on_volume() {
  echo "<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='$volume'><config file='$work/keyless.conf'/>
<auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth></source><target dev='vda' bus='virtio'/></disk>"
}

# fill NUMBER OFFSET: the machine writes 64 KiB, and so does this test to what the disk should be.
fill() {
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $1 $2 64k" >/dev/null
  guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
  dd if=<(head -c 65536 /dev/zero | tr '\0' "\\$(printf %o "$1")") of=expected bs=64K seek="$(($(numfmt --from=iec "$2") >> 16))" conv=notrunc \
    status=none iflag=fullblock
}

# machine_on DISK-XML: runs, and its disk is the seed and some more.
machine_on() {
  machine mg-rec "$1"
  on_a start mg-rec
  cp --sparse=always seed expected
  fill 7 1M
}

begin_back() {
  rbd rm --no-progress $volume 2>/dev/null || true
  rbd import --no-progress --sparse-size 64K seed $volume
  machine_on "$(on_volume)"
  way=(--to-dir files)
}

begin_there() {
  cp --sparse=always seed files/old.raw
  machine_on "$(file_disk "$work/files/old.raw" vda)"
  way=(--pool rbd --id libvirt --secret-uuid "$secret" --ceph-conf keyless.conf --keyring "$VMFERRY_LAB/keyring")
}

# holds: the disk that the definition names is what was written, in a machine that starts.
holds() {
  local where kind
  [[ $(on_a domstate mg-rec) == running ]] || on_a start mg-rec || fail "$1: it does not start"
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 9 3M 64k" >/dev/null
  fill 9 3M
  where=$(disks "$VMFERRY_LAB_HOSTA")
  [[ $where == "$(disks "$VMFERRY_LAB_HOSTA" --inactive)" ]] || fail "$1: the definitions differ"
  on_a destroy mg-rec
  read -r _ kind where <<<"$where"
  [[ $kind == "$2" ]] || fail "$1: it is on $kind $where"
  [[ $kind == file ]] || { rbd export --no-progress "$where" exported && where=exported; }
  same "$where" expected
  rm -f exported
}

# killed_in WAY STEP: false if it had ended before it was killed: its last steps are short.
killed_in() {
  "begin_$1"
  rm -f steps # those of a run before are not to be waited for
  "$VMFERRY" migrate mg-rec --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --progress json --rate-limit 8M "${way[@]}" >result 2>steps &
  mover=$!
  wait_for_step "$2"
  [[ $2 != 'copy the frozen' ]] || sleep 0.3
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
  until_true 20 idle
  [[ -f $state/mg-rec.json ]]
}

forget() {
  on_a destroy mg-rec 2>/dev/null || true
  on_a undefine mg-rec
  rm -f files/*
  machines_down
}

# one WAY STEP RUNNING|STOPPED|STARTED HOW KIND: killed in that step; what became of the machine then; recovered HOW, to a disk of that kind.
one() {
  local try end
  echo "$SECONDS s: $*"
  for try in 1 2 3 4 5; do
    ! killed_in "$1" "$2" || break
    ((try < 5)) || fail "$*: it always ends before it is killed"
    forget
  done
  fill 8 20M # it may be in the overlay, and nowhere else
  if [[ $3 != running ]]; then
    on_a destroy mg-rec
    [[ $3 == stopped ]] || on_a start mg-rec || fail "$*: it does not start"
  fi
  # shellcheck disable=SC2086 # may be none
  ferry migrate --recover mg-rec --state-dir "$state" -q --json ${4/auto/} >end.json || fail "$*: not recovered"
  [[ $4 == --undo ]] && end=undone || end=moved
  grep -q "\"end\":\"$end\"" end.json || fail "$*: it says that it ended otherwise than $end: $(cat end.json)"
  [[ $(on_a domstate mg-rec) == "${state_after[$3]}" ]] || fail "$*: it is $(on_a domstate mg-rec)"
  no_journal
  [[ -z $(find files -name '*overlay*' -o -name '*bridge*' -o -name '*partial*') ]] || fail "$*: left behind: $(ls -A files)"
  holds "$*" "$5"
  forget
}
declare -A state_after=([running]=running [stopped]="shut off" [started]=running)

# libvirt has nothing to do for it just now.
idle() {
  on_a domcontrol mg-rec | grep '^ok'
}

frozen="copy the frozen"
meanwhile="copy what the guest"
switch="switch the guest to the overlays"
commit="commit those"
one back "$frozen" stopped --undo network
one back "$frozen" running --finish file
one back "$meanwhile" running --undo network
one back "$switch" running --finish file
one back "$commit" stopped auto file
one back "remove the overlays" stopped auto file
one there "$meanwhile" stopped --finish network
one there "$commit" started auto network
