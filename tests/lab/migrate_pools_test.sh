# SPDX-License-Identifier: LGPL-2.1-or-later
# From volumes to volumes: to another pool while the guest runs, within a pool by name, and while it is off; what shall not move stays.
source "$ROOT/tests/lab/guest_helpers.sh"
make_pool mg-fast

# to_fast [OPTION...]
to_fast() {
  ferry migrate "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool mg-fast --id libvirt --secret-uuid "$secret" --state-dir "$state" "$@"
}
# is_on DISKS: both definitions say so, and nothing is left of the move.
is_on() {
  local how
  for how in "" --inactive; do
    [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "$1" ]] || fail "not '$1' ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
  done
  no_journal
  [[ -z $(ls overlays) ]] || fail "overlays are left: $(ls overlays)"
}
# holds VOLUME: what the guest's first disk should.
holds() {
  rbd export --no-progress "$1" - | cmp - flat.raw || fail "$1 is not what the disk was"
}
used() {
  rbd du --format json "$1" 2>/dev/null | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["used_size"])'
}

mkdir overlays
truncate -s 64M flat.raw
dd if=/dev/urandom of=flat.raw bs=1M seek=5 count=2 conv=notrunc status=none
rbd import --no-progress --sparse-size 64K flat.raw rbd/mg-pools-vda
rbd create --size 32M rbd/mg-pools-vdb
machine mg-pools "$(volume_disk rbd/mg-pools-vda vda)$(volume_disk rbd/mg-pools-vdb vdb)"
on_a start mg-pools
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 20M 64k" # what only QEMU has flushed, or not yet
dd if=<(head -c 65536 /dev/zero | tr '\0' '\007') of=flat.raw bs=64K seek=320 conv=notrunc status=none iflag=fullblock

# Nobody finds a disk moved that was there already, or in that pool.
expect 1 "vda: it is on rbd:rbd/mg-pools-vda already" move --check
expect 1 "vda: it is in the pool 'rbd' already: --disk vda=rbd:POOL/IMAGE moves it" move --check --name-template "{dev}-new"
expect 1 "QEMU's mirror moves only files" to_fast --check --method mirror

# While it runs.
said=$(to_fast --overlay-dir "$PWD/overlays")
[[ $said == *"Kept, and yours to remove when all is well:"*"rbd:rbd/mg-pools-vda"* ]] || fail "$said"
is_on "vda network mg-fast/mg-pools-vda
vdb network mg-fast/mg-pools-vdb"
holds mg-fast/mg-pools-vda
holds rbd/mg-pools-vda
(($(used mg-fast/mg-pools-vda) <= 16 << 20 && $(used mg-fast/mg-pools-vdb) <= 4 << 20)) || fail "not thin: $(rbd du mg-fast/mg-pools-vda)"
is_unwatched rbd/mg-pools-vda || fail "the old volume is still open"
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 9 1M 64k"
guest_io "$VMFERRY_LAB_HOSTA" 0 "flush"
dd if=<(head -c 65536 /dev/zero | tr '\0' '\011') of=flat.raw bs=64K seek=16 conv=notrunc status=none iflag=fullblock
holds mg-fast/mg-pools-vda

# One of the disks, within the pool, laid out otherwise; the old volume is removed.
to_fast -q --overlay-dir "$PWD/overlays" --disk vda=rbd:mg-fast/mg-small-objects --object-size 1M --delete-source
is_on "vda network mg-fast/mg-small-objects
vdb network mg-fast/mg-pools-vdb"
holds mg-fast/mg-small-objects
[[ $(rbd info mg-fast/mg-small-objects) == *"order 20"* ]] || fail "the layout is another: $(rbd info mg-fast/mg-small-objects)"
! rbd info mg-fast/mg-pools-vda >/dev/null 2>&1 || fail "the old volume is left"

# A volume that another machine names stays, and so does one with a snapshot, which was not asked to move.
on_a destroy mg-pools
rbd snap create --no-progress mg-fast/mg-small-objects@monday
machine mg-other "$(volume_disk mg-fast/mg-pools-vdb vda)"
guest=mg-pools
rbd rm --no-progress rbd/mg-pools-vda
rbd rm --no-progress rbd/mg-pools-vdb
said=$(move --delete-source 2>&1)
[[ $said == *"mg-fast/mg-small-objects stays: it has the snapshot monday"* ]] || fail "$said"
[[ $said == *"mg-fast/mg-pools-vdb stays: domain mg-other needs it for vda"* ]] || fail "$said"
is_on "vda network rbd/mg-pools-vda
vdb network rbd/mg-pools-vdb"
holds rbd/mg-pools-vda
[[ -z $(rbd snap ls rbd/mg-pools-vda) ]] || fail "a snapshot went along"
on_a undefine mg-other

# With its snapshots, while it is off.
rbd snap create --no-progress rbd/mg-pools-vda@tuesday
guest=mg-pools
rbd export --no-progress rbd/mg-pools-vda@tuesday tuesday.raw
dd if=/dev/urandom of=flat.raw bs=1M seek=30 count=1 conv=notrunc status=none
on_a start mg-pools
guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 3 30M 1M"
dd if=<(head -c 1048576 /dev/zero | tr '\0' '\003') of=flat.raw bs=1M seek=30 conv=notrunc status=none iflag=fullblock
on_a destroy mg-pools
until_true 60 is_unwatched rbd/mg-pools-vda
to_fast -q --disk vda=rbd:mg-fast/mg-history --snapshots
holds mg-fast/mg-history
rbd export --no-progress mg-fast/mg-history@tuesday - | cmp - tuesday.raw || fail "the snapshot is another"

# Beside a disk on a file, a disk on RBD stays unless it is named.
truncate -s 8M mixed.raw
machine mg-mixed "$(file_disk "$PWD/mixed.raw" vda)$(volume_disk rbd/mg-pools-vdb vdb)"
expect 0 "stays.*vdb: it is on RBD already, and others are not: --disk vdb=" to_fast --dry-run
to_fast -q --disk vda=rbd:mg-fast/mg-mixed-vda --disk vdb=rbd:mg-fast/mg-mixed-vdb --delete-source
is_on "vda network mg-fast/mg-mixed-vda
vdb network mg-fast/mg-mixed-vdb"
[[ ! -e mixed.raw ]] || fail "the old file is left"
