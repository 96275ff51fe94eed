# SPDX-License-Identifier: LGPL-2.1-or-later
# Images of other hypervisors are read through qemu-nbd: probed by their first bytes, in every command, as QEMU reads them.
truncate -s 20M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=3 conv=notrunc status=none
dd if=/dev/urandom of=disk.raw bs=1000 count=77 seek=15001 conv=notrunc status=none
printf end | dd of=disk.raw bs=1 seek=20971517 conv=notrunc status=none

mkdir .sockets
export TMPDIR=$PWD/.sockets # where nobody else has any

no_servers() {
  # Those of this test have its directory as theirs.
  local pid
  for pid in $(pgrep -x qemu-nbd); do
    [[ $(readlink "/proc/$pid/cwd") != "$work" ]] || fail "qemu-nbd ($pid) is still there"
  done
  [[ -z $(ls -A .sockets) ]] || fail "a directory of a socket is left"
}

reads_as_qemu() { # FORMAT FILE
  local before size
  before=$(stat -c '%n %s %Y %Z' -- *)
  ferry convert -q "$2" copy.raw
  qemu-img compare -q -f "$1" -F raw "$2" copy.raw
  size=$(stat -c %s copy.raw)
  rm copy.raw
  [[ $(stat -c '%n %s %Y %Z' -- *) == "$before" ]] || fail "$2 was changed"
  ferry info --json "$2" | python3 -c "
import json, sys
said = json.load(sys.stdin)
assert said['format'] == '$1' and said['probed'] and said['virtual_bytes'] == $size, said
"
}

made() { # FORMAT NAME [OPTIONS]
  qemu-img convert -O "$1" ${3:+-o "$3"} disk.raw "$2"
  reads_as_qemu "$1" "$2"
}

made vmdk sparse.vmdk
made vmdk stream.vmdk subformat=streamOptimized
made vmdk flat.vmdk subformat=monolithicFlat
made vmdk split.vmdk subformat=twoGbMaxExtentSparse
made vmdk splitflat.vmdk subformat=twoGbMaxExtentFlat
made vhdx disk.vhdx
made vhdx fixed.vhdx subformat=fixed
made vpc disk.vhd
made vpc fixed.vhd subformat=fixed,force_size=on
made vdi disk.vdi
made qed disk.qed
made parallels disk.hds
ferry compare -q sparse.vmdk disk.vhdx
expect 0 'format +vmdk \(probed\)' ferry info sparse.vmdk
ferry map --json disk.vdi >map.json
ferry sparsify -q disk.qed copy.raw
same disk.raw copy.raw
ferry convert -q --force -f vhdx --verify disk.vhdx copy.raw
same disk.raw copy.raw
rm copy.raw
expect 1 'does not change vhdx images' ferry sparsify --in-place disk.vhdx
no_servers

# QEMU's driver calls all of a VHDX data: its own table tells where there are none.
truncate -s 4G large.raw
printf x | dd of=large.raw bs=1 seek=3G conv=notrunc status=none
qemu-img convert -O vhdx large.raw large.vhdx
read=$(ferry convert --json large.vhdx copy.raw | jq .read_bytes)
((read <= 32 << 20)) || fail "read $read bytes of a VHDX with one"
same large.raw copy.raw
rm large.* copy.raw

# Its blocks may lie in any order, and a block may have holes; the end need not be a whole block.
qemu-img create -q -f vhdx mixed.vhdx $((200 * 1048576 + 512))
for mib in 150 30 190 70 31; do
  qemu-io -f vhdx -c "write -q -P $mib ${mib}M 3M" -c "write -q -P 9 $((mib + 6))M 512" mixed.vhdx
done
qemu-io -f vhdx -c "write -q -P 7 $((200 * 1048576)) 512" mixed.vhdx
qemu-img convert -f vhdx -O raw mixed.vhdx mixed.raw
ferry convert -q mixed.vhdx copy.raw
same mixed.raw copy.raw
expect 0 "are the same" ferry compare mixed.vhdx mixed.raw
rm mixed.* copy.raw

# The footer of an old Virtual PC has 511 bytes.
cp fixed.vhd short.vhd
truncate -s -1 short.vhd
reads_as_qemu vpc short.vhd

# A VHD's size is what it says, not the whole cylinders of its geometry, whatever program made it.
mkdir other
# A QEMU that reads another size than the image says.
# shellcheck disable=SC2016 # for that program
printf '#!/bin/bash\nexec %s "${@/current_size/chs}"\n' "$(command -v qemu-nbd)" >other/qemu-nbd
chmod +x other/qemu-nbd
for kind in fixed dynamic; do
  qemu-img convert -O vpc -o "subformat=$kind,force_size=on" disk.raw "vbox-$kind.vhd"
  python3 - "vbox-$kind.vhd" <<'END'
import struct, sys
image = bytearray(open(sys.argv[1], "rb").read())
for at in {image.index(b"conectix"), len(image) - 512}:
    image[at + 28:at + 32] = b"vbox"
    struct.pack_into(">HBB", image, at + 56, 602, 4, 17)  # 40936 of 40960 sectors
    struct.pack_into(">I", image, at + 64, 0)
    struct.pack_into(">I", image, at + 64, ~sum(image[at:at + 512]) & 0xffffffff)
open(sys.argv[1], "wb").write(image)
END
  ferry convert -q --force "vbox-$kind.vhd" copy.raw
  same disk.raw copy.raw
  expect 1 "vbox-$kind.vhd: open with QEMU: the image says that its disk has 20 MiB, but QEMU reads 20468 KiB" \
    env PATH="$PWD/other:$PATH" "$VMFERRY" convert "vbox-$kind.vhd" other.raw
done
rm copy.raw

# A chain as far as there is one.
qemu-img create -q -f vmdk -F vmdk -b sparse.vmdk over.vmdk
qemu-io -c 'write -P 7 1M 64k' over.vmdk >/dev/null
expect 1 'only probed as vmdk.*may not open other files' ferry convert over.vmdk copy.raw
expect 1 'hint: pass -f vmdk' ferry convert over.vmdk copy.raw
ferry convert -q -f vmdk over.vmdk copy.raw
qemu-img compare -q -f vmdk -F raw over.vmdk copy.raw
expect 0 'Backing chain: over.vmdk <- .*/sparse.vmdk' ferry info -f vmdk over.vmdk
qemu-img create -q -f qed -F raw -b disk.raw over.qed
qemu-io -c 'write -P 7 1M 64k' over.qed >/dev/null
expect 1 'only probed as qed' ferry convert --force over.qed copy.raw
ferry convert -q --force -f qed over.qed copy.raw
qemu-img compare -q -f qed -F raw over.qed copy.raw
qemu-img create -q -f qcow2 -F vmdk -b sparse.vmdk over.qcow2
ferry convert -q --force -f qcow2 over.qcow2 copy.raw
same disk.raw copy.raw
expect 0 "extent +.*/splitflat-f001.vmdk, " ferry info splitflat.vmdk

# Names that QEMU would take for something else.
for name in 'file.filename=x,,y.vmdk' 'json:{"driver":"nbd"}.vmdk' 'nbd:localhost:1.vmdk' $'new\nline "b".vmdk'; do
  cp sparse.vmdk "./$name"
  ferry convert -q --force "./$name" copy.raw
  same disk.raw copy.raw
  rm -- "./$name"
done

# A device.
loop=$(losetup -r -f --show sparse.vmdk)
ferry convert -q --force "$loop" copy.raw || { losetup -d "$loop" && fail "a device"; }
losetup -d "$loop"
same disk.raw copy.raw

# Without qemu-nbd.
mkdir bin
expect 1 'sparse.vmdk: read: .*qemu-nbd, which was not found' env PATH="$PWD/bin" "$VMFERRY" convert sparse.vmdk other.raw
expect 1 'hint: .*qemu-utils' env PATH="$PWD/bin" "$VMFERRY" convert sparse.vmdk other.raw
[[ ! -e other.raw ]] || fail "a target was made"
no_servers
no_leftovers
