# SPDX-License-Identifier: LGPL-2.1-or-later
# A machine's disk becomes a clone of a base, with what differs from it: offline and staged.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish tidy' EXIT

tidy() {
  clear_guests
  clear_volumes golden-mg
}

truncate -s 40M golden.raw
dd if=/dev/urandom of=golden.raw bs=1M count=12 conv=notrunc status=none
ferry convert -q golden.raw rbd:rbd/golden-mg
rbd snap create --no-progress rbd/golden-mg@v1

for way in "--mode offline" "--method staged"; do
  qemu-img create -q -f qcow2 -b "$PWD/golden.raw" -F raw overlay.qcow2
  qemu-io -c "write -P 7 5M 64K" -c "write -z 8M 4M" overlay.qcow2 >/dev/null
  qemu-img convert -O raw overlay.qcow2 wanted.raw
  machine mg-base "$(file_disk "$PWD/overlay.qcow2" vda "type='qcow2'")"
  [[ $way == *offline* ]] || on_a start mg-base
  if [[ $way == *staged* ]]; then
    expect 1 "QEMU's mirror writes all of a disk" move -q --method mirror --base vda=rbd:rbd/golden-mg@v1
  fi
  # shellcheck disable=SC2086 # words
  move -q $way --base vda=rbd:rbd/golden-mg@v1
  [[ $(disks "$VMFERRY_LAB_HOSTA" --inactive) == "vda network rbd/mg-base-vda" ]] || fail "$way: $(disks "$VMFERRY_LAB_HOSTA" --inactive)"
  [[ $(rbd info rbd/mg-base-vda) == *"parent: rbd/golden-mg@v1"* ]] || fail "$way: $(rbd info rbd/mg-base-vda)"
  rbd export --no-progress rbd/mg-base-vda - | cmp - wanted.raw || fail "$way: the volume differs"
  # QEMU reads the base as the user that the guest is, and writes over it.
  [[ $way != *offline* ]] || on_a start mg-base
  ! guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 1 1M 64K" | grep -iE "error|fail" || fail "$way: it cannot be written"
  machines_down
done

# Which machines could share one.
for n in 1 2; do
  qemu-img create -q -f qcow2 -b "$PWD/golden.raw" -F raw "web$n.qcow2"
  machine "mg-web$n" "$(file_disk "$PWD/web$n.qcow2" vda "type='qcow2'")"
done
expect 0 "golden.raw: 12.0 MiB of data; as the base of 2 disks it saves 12.0 MiB" ferry bases --connect "$VMFERRY_LAB_HOSTA"
said=$(ferry bases --connect "$VMFERRY_LAB_HOSTA" --pool vms)
[[ $said == *"--base rbd:vms/golden@v1 -f qcow2 $PWD/web1.qcow2 rbd:vms/mg-web1-vda"* && $said != *"a guest can write"* ]] || fail "$said"
machines_down

machine mg-base "$(file_disk "$PWD/golden.raw" vda)"
expect 1 "base.*no such volume or snapshot" move --check --base vda=rbd:rbd/golden-mg@v2
expect 1 "disk vdb does not move" move --check --base vdb=rbd:rbd/golden-mg@v1
expect 2 "a volume is named in --base vda" move --check --base vda=rbd:rbd/golden-mg
expect 2 "--base is for a move to Ceph" ferry migrate mg-base --to-dir . --base vda=rbd:rbd/golden-mg@v1
