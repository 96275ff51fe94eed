# SPDX-License-Identifier: LGPL-2.1-or-later
# The disks of an OVA, read where they lie in it.
for disk in one two; do
  truncate -s 8M "$disk.raw"
  dd if=/dev/urandom of="$disk.raw" bs=1M count=2 conv=notrunc status=none
  qemu-img convert -O vmdk -o subformat=streamOptimized "$disk.raw" "web-$disk.vmdk"
done
printf '<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
  <References>
    <File ovf:href="web-two.vmdk" ovf:id="file2"/>
    <File ovf:href="web-one.vmdk" ovf:id="file1" ovf:size="%s"/>
  </References>
  <DiskSection>
    <Info>Disks</Info>
    <Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1"
      ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
    <Disk ovf:capacity="8" ovf:diskId="vmdisk2" ovf:fileRef="file2"/>
  </DiskSection>
</Envelope>' "$(stat -c %s web-one.vmdk)" >web.ovf
for format in ustar gnu pax; do
  tar -cf "$format.ova" --format="$format" web.ovf web-two.vmdk web-one.vmdk
  for disk in one two; do
    number=$([[ $disk == one ]] && echo 1 || echo 2)
    ferry convert -q --force --disk "$number" "$format.ova" copy.raw
    same "$disk.raw" copy.raw
  done
done
expect 2 'ustar.ova: choose a disk: the machine in it has 2 disks' ferry convert ustar.ova out.raw
expect 2 'hint: choose one with --disk N: 1: web-one.vmdk, 2: web-two.vmdk' ferry convert ustar.ova out.raw
expect 1 'choose disk 3: the machine in it has 2' ferry convert --disk 3 ustar.ova out.raw
expect 2 '' ferry convert --disk 0 ustar.ova out.raw
expect 2 'it is a raw image, which is one disk' ferry convert --disk 1 one.raw out.raw
ferry compare -q --disk 1 ustar.ova one.raw
ferry compare -q --disk-b 2 two.raw ustar.ova
expect 0 'choose one with --disk' ferry info ustar.ova
expect 0 'format +ova \(probed\)' ferry info --disk 1 ustar.ova
ferry info --json --disk 2 ustar.ova | python3 -c '
import json, sys
said = json.load(sys.stdin)
assert said["format"] == "ova" and said["virtual_bytes"] == 8 << 20, said
assert said["backing_chain"][0]["format"] == "vmdk" if "backing_chain" in said else True, said
'
ferry map --disk 1 ustar.ova >/dev/null
expect 1 'does not change ova images' ferry sparsify --in-place --disk 1 ustar.ova

# Disks of other kinds in it; one disk needs no number.
no_vmdk=(-e 's/vmdk.html/other.html/')
small_ova() { # FILE [SED'S OPTION...]
  sed -e "s/web-one.vmdk/$1/" -e '/web-two/d' -e '/vmdisk2/d' "${@:2}" web.ovf >small.ovf
  tar -cf small.ova --format=ustar small.ovf "$1"
}
small_ova one.raw "${no_vmdk[@]}"
ferry convert -q --force small.ova copy.raw
same one.raw copy.raw
qemu-img convert -O qcow2 one.raw one.qcow2
small_ova one.qcow2
ferry convert -q --force small.ova copy.raw
same one.raw copy.raw
qemu-img convert -O vhdx one.raw one.vhdx
small_ova one.vhdx
ferry convert -q --force small.ova copy.raw
same one.raw copy.raw

# A damaged image has no mark: it is no raw disk for that. And an archive could hold archives for ever.
small_ova one.raw
expect 1 'small.ova:one.raw: .*the description calls it a VMDK' ferry convert --force small.ova out.raw
cp one.raw damaged.vhd
small_ova damaged.vhd "${no_vmdk[@]}"
expect 1 'small.ova:damaged.vhd: .*its name is that of an image' ferry convert --force small.ova out.raw
small_ova web-one.vmdk
mv small.ova inner.ova
small_ova inner.ova
expect 1 'small.ova:inner.ova: open: it is an archive inside an archive' ferry convert --force small.ova out.raw
[[ ! -e out.raw ]] || fail "a target was made"

# What is in it may open nothing.
qemu-img create -q -f qcow2 -F raw -b "$PWD/one.raw" over.qcow2
small_ova over.qcow2
expect 1 'may not open other files' ferry convert --force small.ova copy.raw
qemu-img convert -O vmdk -o subformat=monolithicFlat one.raw flat.vmdk
small_ova flat.vmdk
expect 1 'no meaning in an image that is not a file|may not open' ferry convert --force -f ova small.ova copy.raw

# Cut, and with files that are elsewhere.
small_ova web-one.vmdk
truncate -s -2M small.ova
expect 1 'small.ova: .*beyond the end of the file' ferry convert --force small.ova copy.raw
sed 's,web-one.vmdk,/etc/shadow,' web.ovf >small.ovf
tar -cf small.ova --format=ustar small.ovf
expect 1 "open its disk '/etc/shadow': the archive has no file of that name" ferry convert --disk 1 --force small.ova copy.raw
no_leftovers
