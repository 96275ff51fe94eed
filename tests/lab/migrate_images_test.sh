# SPDX-License-Identifier: LGPL-2.1-or-later
# Images are judged by what they are, not by their names; and what is deleted is the very file that was copied, if nobody else needs it.
source "$ROOT/tests/lab/guest_helpers.sh"
loop=
undo() {
  [[ -z $loop ]] || losetup --detach "$loop"
  clear_guests
}
trap 'finish undo' EXIT

# The machine is gone, and so are its volumes.
again() {
  machines_down >/dev/null
  rm -rf -- "$state"
}
again

# A foreign format: while the machine is off, and while it runs. The image may have parts beside it, of which no chain tells.
foreign_machine() { # FORMAT FILE [QEMU-IMG-OPTION...]
  rm -f disk*
  qemu-img create -q -f "$1" "${@:3}" "$2" 64M
  qemu-io -f "$1" -c 'write -q -P 0x5a 1M 64k' "$2" >/dev/null
  qemu-img convert -f "$1" -O raw "$2" want.raw
  machine mg-odd "$(file_disk "$work/$2" vda "type='$1'")"
}
moved_whole() {
  rbd export --no-progress rbd/mg-odd-vda - | cmp - want.raw || fail "$*: not the guest's disk"
  on_a dumpxml mg-odd --inactive | grep "<driver name='qemu' type='raw'" >/dev/null || fail "$*: the definition says another format"
  again
}
foreign_machine vmdk disk.vmdk
expect 0 "old disk of vda: .*/disk.vmdk will stay: it is a vmdk image" move --delete-source --check
move -q --delete-source
[[ -f disk.vmdk ]] || fail "a file of several was deleted"
moved_whole offline
foreign_machine vmdk disk.vmdk
on_a start mg-odd >/dev/null
move -q --method mirror
moved_whole mirrored
for kind in "vmdk -o subformat=twoGbMaxExtentSparse" vdi vpc; do
  read -ra options <<<"$kind"
  foreign_machine "${options[0]}" "disk.${options[0]}" "${options[@]:1}"
  on_a start mg-odd >/dev/null
  if [[ $kind == vmdk* ]]; then
    # Undone, what the guest wrote meanwhile is in the image.
    move_in_background --rate-limit 16K
    wait_for_step 'copy the frozen'
    guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 2M 64k" >/dev/null
    kill -INT "$mover"
    ended 130 "as it was before"
    [[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $work/disk.vmdk" ]] || fail "$kind: not undone: $(disks "$VMFERRY_LAB_HOSTA")"
  else
    guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 7 2M 64k" >/dev/null
  fi
  move -q --delete-source
  [[ -f disk.${options[0]} ]] || fail "$kind: a file of several was deleted"
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P 6 3M 64k" >/dev/null
  guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
  for written in "7 32" "6 48"; do
    dd if=<(head -c 65536 /dev/zero | tr '\0' "\\${written% *}") of=want.raw bs=64K seek="${written#* }" conv=notrunc status=none iflag=fullblock
  done
  moved_whole "$kind"
done

# A link: both stay, with a word, whichever way; and the overlay was beside the image, not beside the link.
mkdir store links
truncate -s 64M store/image
printf 'guest data' | dd of=store/image conv=notrunc status=none
ln -s ../store/image links/disk.0
for way in offline live; do
  machine mg-link "$(file_disk "$work/links/disk.0" vda)"
  [[ $way == offline ]] || on_a start mg-link >/dev/null
  expect 0 "old disk of vda: .*/disk.0 will stay: it is a link.*/store/image" move --mode "$way" --delete-source --check
  [[ $way == offline ]] || mkdir store/mg-link-vda.vmferry-overlay.qcow2 # an overlay here would be in its way
  if [[ $way == live ]]; then
    expect 1 "store/mg-link-vda.vmferry-overlay.qcow2 or its bridge exists already" move --mode live
    rmdir store/mg-link-vda.vmferry-overlay.qcow2
  fi
  move --mode "$way" --delete-source >said 2>&1 || fail "not moved: $(cat said)"
  grep -q "disk.0 stays: it is a link; the image, .*/store/image, stays as well" said || fail "not said: $(cat said)"
  [[ -L links/disk.0 && -f store/image ]] || fail "the link or the image is gone"
  again
done

# A block device under a name outside of /dev.
loop=$(losetup --find --show store/image)
ln -s "$loop" links/device
machine mg-device "$(file_disk "$work/links/device" vda)"
expect 0 "will stay: it is a block device" move --delete-source --check
move -q --delete-source
[[ -L links/device ]] || fail "the link to a device was removed"
again

# An image that others need: a clone that is shut off, a clone that runs, a second definition.
qemu-img create -q -f qcow2 golden.qcow2 64M
qemu-img create -q -f qcow2 -F qcow2 -b "$work/golden.qcow2" clone.qcow2
for how in "shut off" running; do
  machine mg-clone "$(file_disk "$work/clone.qcow2" vda "type='qcow2'")"
  [[ $how == "shut off" ]] || on_a start mg-clone >/dev/null
  machine mg-golden "$(file_disk "$work/golden.qcow2" vda "type='qcow2'")"
  expect 0 "golden.qcow2 stays: domain mg-clone needs it for vda" move --delete-source
  [[ -f golden.qcow2 ]] || fail "the base of a clone that is $how is gone"
  again
done
machine mg-spare "$(file_disk "$work/store/image" vda)"
machine mg-one "$(file_disk "$work/store/image" vda)"
expect 0 "domain mg-spare needs it" move --delete-source --check
expect 0 "stays: domain mg-spare needs it" move --delete-source
[[ -f store/image ]] || fail "the image of two definitions is gone"
again

# Somebody else's QEMU has it open.
machine mg-open "$(file_disk "$work/golden.qcow2" vda "type='qcow2'")"
hold_image -f qcow2 -r golden.qcow2
expect 0 "stays: .*golden.qcow2" move --delete-source
kill "$holder"
[[ -f golden.qcow2 ]] || fail "an image that a QEMU has open is gone"
again

# What a raw volume cannot hold is said before; and nobody needs it, so it goes.
qemu-img snapshot -c before-upgrade golden.qcow2
qemu-img bitmap --add golden.qcow2 nightly
machine mg-inside "$(file_disk "$work/golden.qcow2" vda "type='qcow2'")"
for method in "--mode offline" "--method staged" "--method mirror"; do
  [[ $method == *offline || $(on_a domstate mg-inside) == running ]] || on_a start mg-inside >/dev/null
  # shellcheck disable=SC2086 # two words
  move $method --check >said 2>&1 || fail "refused: $(cat said)"
  grep -q 'snapshots in vda.*before-upgrade' said || fail "$method: nothing of the snapshot: $(cat said)"
  grep -q 'bitmaps in vda.*nightly' said || fail "$method: nothing of the bitmap: $(cat said)"
done
expect 0 "" move -q --delete-source
[[ ! -e golden.qcow2 ]] || fail "the old image is left"
