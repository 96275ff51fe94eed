# SPDX-License-Identifier: LGPL-2.1-or-later
# What an image of another hypervisor may not make us read, and images that are damaged.
truncate -s 4M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=4 conv=notrunc status=none
mkdir home sub
cp disk.raw secret.raw

descriptor() { # FILE TYPE EXTENT...
  local file=$1 type=$2
  shift 2
  printf '# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType="%s"\n' "$type" >"$file"
  printf '%s\n' "$@" >>"$file"
}

refused() { # PATTERN [OPTION...] FILE
  local pattern=$1
  shift
  expect 1 "$pattern" ferry convert "$@" copy.raw
  [[ ! -e copy.raw ]] || fail "$* was copied"
}

# Extents: regular files in the descriptor's own directory or below, whatever the way to them.
extent='RW 8192 FLAT "%s" 0'
for name in /etc/shadow ../secret.raw "$PWD/secret.raw" sub/../../secret.raw nbd:localhost:10809 json:x; do
  # shellcheck disable=SC2059 # a format of ours
  descriptor home/web.vmdk monolithicFlat "$(printf "$extent" "$name")"
  refused 'home/web.vmdk: open its extent' home/web.vmdk
  refused 'home/web.vmdk: open its extent' -f vmdk home/web.vmdk
done
ln -s ../secret.raw home/link
# shellcheck disable=SC2059
descriptor home/web.vmdk monolithicFlat "$(printf "$extent" link)"
refused 'outside the image.s own directory' -f vmdk home/web.vmdk
ferry convert -q --allow-file "$PWD/secret.raw" home/web.vmdk copy.raw
same disk.raw copy.raw
rm copy.raw home/link
mkfifo home/fifo
# shellcheck disable=SC2059
descriptor home/web.vmdk monolithicFlat "$(printf "$extent" fifo)"
refused 'not a regular file' -f vmdk home/web.vmdk
ln -s /dev/zero home/zero
# shellcheck disable=SC2059
descriptor home/web.vmdk monolithicFlat "$(printf "$extent" zero)"
refused 'open its extent' -f vmdk --allow-file /dev home/web.vmdk

# A guest can write a descriptor into its raw disk: it is too long for one that is a file of its own.
cp secret.raw home/other.raw
# shellcheck disable=SC2059
descriptor home/guest.raw monolithicFlat "$(printf "$extent" guest-flat.vmdk)"
cp secret.raw home/guest-flat.vmdk
ferry convert -q home/guest.raw copy.raw # a descriptor, and a neighbour of its name
same disk.raw copy.raw
rm copy.raw
# A short text in a directory with the disks of others.
# shellcheck disable=SC2059
descriptor home/web.vmdk monolithicFlat "$(printf "$extent" other.raw)"
refused 'only probed as vmdk' home/web.vmdk
expect 1 'hint: pass -f vmdk .*names such as web-flat.vmdk and web-s001.vmdk' ferry convert home/web.vmdk copy.raw
ferry convert -q -f vmdk home/web.vmdk copy.raw
rm copy.raw
truncate -s 1M home/guest.raw
refused 'only probed as vmdk, so it may not open other files' home/guest.raw
expect 1 'hint: pass -f vmdk' ferry convert home/guest.raw copy.raw
printf '%70000s' '' >>home/guest.raw
refused 'only probed as vmdk' home/guest.raw
mkdir home/below
mv home/other.raw home/below
# shellcheck disable=SC2059
descriptor home/web.vmdk monolithicFlat "$(printf "$extent" below/other.raw)"
refused 'only probed as vmdk' home/web.vmdk
ferry convert -q -f vmdk home/web.vmdk copy.raw
same disk.raw copy.raw
rm copy.raw

# Parents: through the same rule; one that comes back to itself.
qemu-img create -q -f vmdk sub/base.vmdk 4M
qemu-img create -q -f vmdk -F vmdk -b sub/base.vmdk up.vmdk
refused 'only probed' up.vmdk
sed -i "s,parentFileNameHint=\"sub/base.vmdk\",parentFileNameHint=\"/etc/shadow\"  ," up.vmdk
refused 'outside|read: ' -f vmdk up.vmdk
rm up.vmdk
qemu-img create -q -f vmdk a.vmdk 4M
qemu-img create -q -f vmdk -F vmdk -b a.vmdk b.vmdk
qemu-img create -q -f vmdk -F vmdk -b b.vmdk c.vmdk
mv c.vmdk a.vmdk
refused 'the chain comes back to this file' -f vmdk a.vmdk
refused 'the chain comes back to this file' -f vmdk b.vmdk

# Cut files. QEMU reads zeros in place of what is missing.
cut() { # NAME FORMAT BYTES [OPTIONS]
  qemu-img convert -O "$2" ${4:+-o "$4"} disk.raw "$1"
  truncate -s "-$3" "${5:-$1}"
  refused "${5:-$1}: |$1: " "$1"
}
cut cut.vmdk vmdk 70000
cut stream.vmdk vmdk 512 subformat=streamOptimized
cut flat.vmdk vmdk 1 subformat=monolithicFlat flat-flat.vmdk
cut split.vmdk vmdk 70000 subformat=twoGbMaxExtentSparse split-s001.vmdk
cut cut.vhdx vhdx 10M
cut cut.vhd vpc 600
cut much.vhd vpc 600000
# Parts of a fixed one, put together without one of them.
qemu-img convert -O vpc -o subformat=fixed,force_size=on disk.raw whole.vhd
{ head -c 1M whole.vhd && tail -c +2097153 whole.vhd; } >joined.vhd
refused 'joined.vhd: .* at 3 MiB: here its disk ends, but its footer says that it has 4 MiB' joined.vhd
cut cut.vdi vdi 1000
cut cut.hds parallels 1000
cut cut.qed qed 70000

# A grain beyond the end.
qemu-img convert -O vmdk disk.raw grain.vmdk
python3 - <<'END'
import struct
image = bytearray(open("grain.vmdk", "rb").read())
directory, = struct.unpack_from("<Q", image, 56)
table, = struct.unpack_from("<I", image, directory * 512)
struct.pack_into("<I", image, table * 512 + 4 * 5, 0x7fffffff)
open("grain.vmdk", "wb").write(image)
END
refused "at 1099511627264: here should be the guest's data at 320 KiB" grain.vmdk

# More than a VHDX can have: its tables alone would take long.
qemu-img create -q -f vhdx huge.vhdx 4M
python3 - <<'END'
import struct
image = bytearray(open("huge.vhdx", "rb").read())
region = image.index(bytes.fromhex("06a27c8b90479a4bb8fe575f050f886e"), 192 << 10)
metadata, = struct.unpack_from("<Q", image, region + 16)
item = image.index(bytes.fromhex("2442a52f1bcd7648b2115dbed83bf4b8"), metadata)
at, = struct.unpack_from("<I", image, item + 16)
struct.pack_into("<Q", image, metadata + at, 65 << 40)
open("huge.vhdx", "wb").write(image)
END
refused 'its metadata says sizes that cannot be' huge.vhdx

# Differencing images, which QEMU would read as whole ones.
qemu-img create -q -f vpc diff.vhd 4M
python3 - <<'END'
image = bytearray(open("diff.vhd", "rb").read())
image[63] = 4
open("diff.vhd", "wb").write(image)
END
refused 'a differencing VHD' diff.vhd
no_leftovers
