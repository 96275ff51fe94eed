# SPDX-License-Identifier: LGPL-2.1-or-later
# From one cluster to another, which has other keys: while the guest runs, and back while it is off.
source "$ROOT/tests/lab/guest_helpers.sh"
there=$work/lab
usage="client.libvirt there"
trap 'finish tidy' EXIT

tidy() {
  local uuid
  clear_guests
  for uuid in $(on_a secret-list | awk -v usage="$usage" 'index($0, usage) {print $1}'); do
    on_a secret-undefine "$uuid"
  done
  "$lab" --dir "$there" down
}
"$lab" --dir "$there" up ceph >/dev/null

in_other() {
  CEPH_CONF=$there/ceph.conf "$@"
}
# away [OPTION...]: of $guest, to the other cluster.
away() {
  ferry migrate "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --to-ceph-conf "$there/ceph.conf" --overlay-dir "$PWD/overlays" \
    --name-template "$template" --state-dir "$state" "$@"
}
template='{domain}-{dev}-b'
# is_on NAME CONF: both definitions lead QEMU there.
is_on() {
  local how
  for how in "" --inactive; do
    [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "vda network $1" ]] || fail "not $1 ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
    on_a dumpxml ${how:+"$how"} "$guest" | grep -F "<config file='$2'/>" >/dev/null || fail "not with $2 ($how)"
  done
  no_journal
  [[ -z $(ls overlays) ]] || fail "overlays are left: $(ls overlays)"
}

mkdir overlays
truncate -s 64M flat.raw
dd if=/dev/urandom of=flat.raw bs=1M seek=5 count=2 conv=notrunc status=none
rbd import --no-progress --sparse-size 64K flat.raw rbd/mg-cl-vda
# Of the same name and size, to be taken for nothing else.
in_other rbd create --size 64M rbd/mg-cl-vda
machine mg-cl "$(volume_disk rbd/mg-cl-vda vda)"
on_a start mg-cl
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 20M 64k"
dd if=<(head -c 65536 /dev/zero | tr '\0' '\007') of=flat.raw bs=64K seek=320 conv=notrunc status=none iflag=fullblock

# What the guests of the old cluster log in with stays; nobody could tell two volumes of one name apart.
expect 1 "guests of the old cluster may need it: name another" away --check --define-secret --secret-uuid "$secret"
template='{domain}-{dev}' expect 1 "rbd:rbd/mg-cl-vda would be its name in both clusters" away --check --define-secret --secret-usage "$usage"
expect 2 "--to-ceph-conf is for a move to Ceph" ferry migrate mg-cl --to-dir . --to-ceph-conf x

away -q --define-secret --secret-usage "$usage"
is_on rbd/mg-cl-vda-b "$there/ceph.conf"
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 9 1M 64k"
guest_io "$VMFERRY_LAB_HOSTA" 0 "flush"
rbd export --no-progress rbd/mg-cl-vda - | cmp - flat.raw || fail "the old volume is not what the disk was"
dd if=<(head -c 65536 /dev/zero | tr '\0' '\011') of=flat.raw bs=64K seek=16 conv=notrunc status=none iflag=fullblock
in_other rbd export --no-progress rbd/mg-cl-vda-b - | cmp - flat.raw || fail "the new volume is not what the disk is"
is_unwatched rbd/mg-cl-vda || fail "the old volume is still open"
! rbd ls | grep mg-cl-vda-b >/dev/null || fail "made here"

# Back while it is off, with another name; the volume there goes.
on_a destroy mg-cl
until_true 60 in_other is_unwatched rbd/mg-cl-vda-b
ferry migrate mg-cl --connect "$VMFERRY_LAB_HOSTA" --ceph-conf "$there/ceph.conf" --to-ceph-conf "$CEPH_CONF" --disk vda=rbd:rbd/mg-cl-back \
  --id libvirt --secret-uuid "$secret" --state-dir "$state" --delete-source -q
is_on rbd/mg-cl-back "$CEPH_CONF"
rbd export --no-progress rbd/mg-cl-back - | cmp - flat.raw || fail "the volume is not what the disk was"
! in_other rbd ls | grep mg-cl-vda-b >/dev/null || fail "the volume there is left"
on_a start mg-cl

# Killed while it copies: the journal knows both clusters.
guest=mg-cl
move_killed() {
  "$VMFERRY" migrate mg-cl --connect "$VMFERRY_LAB_HOSTA" --pool rbd --id libvirt --to-ceph-conf "$there/ceph.conf" --overlay-dir "$PWD/overlays" \
    --name-template '{domain}-{dev}-c' --secret-usage "$usage" --rate-limit 1M --state-dir "$state" --progress json >result 2>steps &
  mover=$!
  wait_for_step "copy the frozen"
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
}
move_killed
(unset CEPH_CONF && ferry migrate mg-cl --recover --finish --state-dir "$state" -q --rate-limit 1G)
is_on rbd/mg-cl-vda-c "$there/ceph.conf"
in_other rbd export --no-progress rbd/mg-cl-vda-c - | cmp - flat.raw || fail "the volume is not what the disk was"

# Back by a warm move, with a rehearsal of it: the state of that knows both clusters, too.
warm() {
  (unset CEPH_CONF && ferry "$1" mg-cl --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" "${@:2}")
}
warm sync -q --ceph-conf "$there/ceph.conf" --to-ceph-conf "$CEPH_CONF" --disk vda=rbd:rbd/mg-cl-warm --id libvirt --secret-uuid "$secret" --overlay-dir "$PWD/overlays"
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 5 3M 64k"
dd if=<(head -c 65536 /dev/zero | tr '\0' '\005') of=flat.raw bs=64K seek=48 conv=notrunc status=none iflag=fullblock
warm sync -q
is_on rbd/mg-cl-vda-c "$there/ceph.conf"
[[ $(in_other rbd snap ls rbd/mg-cl-vda-c) == *vmferry-sync-2* && $(rbd snap ls rbd/mg-cl-warm) == *vmferry-sync-2* ]] || fail "the snapshots are not where they belong"
rbd export --no-progress rbd/mg-cl-warm@vmferry-sync-2 - | cmp - flat.raw || fail "the new volume is not what the old one was"
said=$(warm rehearse --wait 2 --json)
[[ $said == *'"came_up":true'* ]] || fail "$said"
warm cutover -q --delete-source
is_on rbd/mg-cl-warm "$CEPH_CONF"
guest_io "$VMFERRY_LAB_HOSTA" 0 "flush"
rbd export --no-progress rbd/mg-cl-warm - | cmp - flat.raw || fail "the new volume is not what the disk was"
[[ -z $(rbd snap ls rbd/mg-cl-warm) ]] || fail "snapshots are left: $(rbd snap ls rbd/mg-cl-warm)"
! in_other rbd ls | grep mg-cl-vda-c >/dev/null || fail "the old volume is left"
