# SPDX-License-Identifier: LGPL-2.1-or-later
# Images that libvirt and QEMU name, size or layer in other ways than a file of whole sectors beside its definition.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish clear_all' EXIT

clear_all() {
  on_a pool-destroy mg-images
  on_a pool-undefine mg-images
  clear_guests
}

# bytes_of_guest: what the guest's first disk has, as QEMU shows it.
bytes_of_guest() {
  on_a qemu-monitor-command "$guest" '{"execute":"query-block"}' | python3 -c '
import json, sys
print(json.load(sys.stdin)["return"][0]["inserted"]["image"]["virtual-size"])'
}

# A raw image that ends within a sector: the guest sees that sector before and after, and can write it.
for way in "--mode offline" "--method staged" "--method mirror"; do
  head -c 5000001 /dev/urandom >odd.raw
  machine mg-odd "$(file_disk "$PWD/odd.raw" vda)"
  on_a start mg-odd
  [[ $(bytes_of_guest) == 5000192 ]] || fail "QEMU rounds up no more: $(bytes_of_guest)"
  [[ $way != *offline* ]] || on_a destroy mg-odd
  # shellcheck disable=SC2086
  move -q $way
  rbd export --no-progress rbd/mg-odd-vda - | cmp -n 5000001 - odd.raw || fail "$way: the volume differs"
  [[ $way != *offline* ]] || on_a start mg-odd
  [[ $(bytes_of_guest) == 5000192 ]] || fail "$way: the guest sees $(bytes_of_guest) bytes"
  ! guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 1 4999680 512" | grep -iE "error|fail" || fail "$way: the last sector cannot be written"
  machines_down
done

# A disk of a storage pool, of a domain that is shut off.
mkdir pool
on_a pool-define-as mg-images dir --target "$PWD/pool" >/dev/null
on_a pool-start mg-images >/dev/null
on_a vol-create-as mg-images v.qcow2 8M --format qcow2 >/dev/null
qemu-io -c "write -P 5 1M 1M" pool/v.qcow2 >/dev/null
machine mg-volume "<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='mg-images' volume='v.qcow2'/><target dev='vda' bus='virtio'/></disk>"
move -q
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda network rbd/mg-volume-vda" ]] || fail "not moved: $(disks "$VMFERRY_LAB_HOSTA")"
qemu-img convert -O raw pool/v.qcow2 flat.raw
rbd export --no-progress rbd/mg-volume-vda - | cmp - flat.raw || fail "the volume is not what the image is"
machines_down

# The same volume of a pool twice would become two.
pool_disk() {
  echo "<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/><source pool='mg-images' volume='v.qcow2'/><target dev='$1' bus='virtio'/></disk>"
}
machine mg-twice "$(pool_disk vda)$(pool_disk vdb)"
expect 1 "vda and vdb are on one image" move --check
machines_down

# A clone, shut off, whose base lies elsewhere: refused with the way out, which works.
mkdir bases clones
qemu-img create -q -f qcow2 bases/base.qcow2 8M
qemu-io -c "write -P 3 0 1M" bases/base.qcow2 >/dev/null
qemu-img create -q -f qcow2 -b "$PWD/bases/base.qcow2" -F qcow2 clones/c.qcow2
machine mg-clone "$(file_disk "$PWD/clones/c.qcow2" vda "type='qcow2'")"
expect 1 "hint: .*--allow-file $PWD/bases" move --check
(cd bases && move -q --allow-file .)
qemu-img convert -O raw clones/c.qcow2 flat.raw
rbd export --no-progress rbd/mg-clone-vda - | cmp - flat.raw || fail "the volume is not what the clone is"
machines_down

# With a checkpoint: it is named with the command that removes it, and does not hold the old definition.
qemu-img create -q -f qcow2 -o size=8M bitmaps.qcow2
machine mg-checkpoint "$(file_disk "$PWD/bitmaps.qcow2" vda "type='qcow2'")"
on_a start mg-checkpoint
on_a checkpoint-create-as mg-checkpoint monday >/dev/null
expect 0 "virsh checkpoint-delete mg-checkpoint monday --metadata" move --check
move -q --to "$VMFERRY_LAB_HOSTB"
expect 1 "failed to get domain" on_a domstate mg-checkpoint
machines_down
