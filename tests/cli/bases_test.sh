# SPDX-License-Identifier: LGPL-2.1-or-later
# Which images could share a base: overlays, and copies of one content; what cannot be looked at is named.
mkdir images elsewhere
truncate -s 40M images/golden.raw
dd if=/dev/urandom of=images/golden.raw bs=1M count=20 conv=notrunc status=none
for n in 1 2 3; do
  qemu-img create -q -f qcow2 -b golden.raw -F raw "images/web$n.qcow2"
  qemu-io -c "write -P $n ${n}M 64K" "images/web$n.qcow2" >/dev/null
done
qemu-img create -q -f qcow2 -b web3.qcow2 -F qcow2 images/upper.qcow2
# A copy that has changed, and one in another format; and what is no disk.
cp images/golden.raw images/copy.raw
dd if=/dev/urandom of=images/copy.raw bs=1M count=1 seek=1 conv=notrunc status=none
qemu-img convert -O qcow2 images/golden.raw images/packed.qcow2
truncate -s 40M images/empty.raw
echo "a text" >images/notes.txt
truncate -s 1000001 images/odd.bin
head -c 2M /dev/urandom >images/alone.raw

images=$PWD/images
ferry bases --pool vms images >said
grep -q "^$images/golden.raw: 20.0 MiB of data; as the base of 5 disks it saves 76.0 MiB$" said || fail "$(cat said)"
grep -Eq "/copy.raw +the same content +16.0 MiB +4.0 MiB$" said || fail "$(cat said)"
grep -Eq "/packed.qcow2 +the same content +20.0 MiB +0 bytes$" said || fail "$(cat said)"
for disk in web1 web2 upper; do
  grep -Eq "/$disk.qcow2 +it is over it +20.0 MiB" said || fail "$(cat said)"
  grep -qx "    vmferry convert --base rbd:vms/golden@v1 -f qcow2 $images/$disk.qcow2 rbd:vms/$disk" said || fail "$(cat said)"
done
grep -qx "    vmferry convert $images/golden.raw rbd:vms/golden" said || fail "$(cat said)"
grep -qx "    rbd snap create vms/golden@v1" said || fail "$(cat said)"
grep -q "a guest can write such a header" said || fail "$(cat said)"
! grep -qE "notes.txt|odd.bin|alone|empty" said || fail "$(cat said)"
# Less is read, and less is known.
expect 0 "as the base of 3 disks it saves 40.0 MiB" ferry bases --names-only images
# JSON, of images that are named one by one.
ferry bases --json images/golden.raw images/web1.qcow2 images/web2.qcow2 images/web1.qcow2 >said
python3 - said <<'END' || fail "$(cat said)"
import json, sys
said = json.load(open(sys.argv[1]))
assert said["images"] == 3, said
(base,) = said["bases"]
assert base["known"] and base["data_bytes"] == base["saved_bytes"] == 20 << 20, base
assert [disk["over_it"] for disk in base["disks"]] == [True, True], base
assert all(disk["probed"] and disk["format"] == "qcow2" for disk in base["disks"]), base
assert len(base["commands"]) == 4, base
END

# What a header names is followed only where that is allowed.
for n in 1 2; do
  qemu-img create -q -f qcow2 -b "$images/golden.raw" -F raw "elsewhere/far$n.qcow2"
done
strace -f -e trace=openat,open -o calls "$VMFERRY" bases elsewhere >said
grep -q "golden.raw: 2 images lie over it; it was not looked at" said || fail "$(cat said)"
! grep -q golden.raw calls || fail "$(grep golden.raw calls)"
! grep -q "vmferry convert" said || fail "$(cat said)"
ferry bases --allow-file "$images" elsewhere >said
grep -q "as the base of 2 disks it saves 20.0 MiB" said || fail "$(cat said)"
grep -q -- "-f qcow2 --allow-file $images $PWD/elsewhere/far1.qcow2 rbd:POOL/far1" said || fail "$(cat said)"

# Copies alone: the best of them is the base, and a volume of its own shares all of it.
mkdir copies
cp images/golden.raw images/copy.raw copies
cp images/copy.raw "copies/an other@2.raw"
ferry bases copies >said
grep -q "as the base of 3 disks it saves 36.0 MiB" said || fail "$(cat said)"
# Of two that are alike, the first; in words that a shell takes as they are.
grep -q -- "--base 'rbd:POOL/an other-2-base@v1' $PWD/copies/copy.raw rbd:POOL/copy$" said || fail "$(cat said)"
grep -q -- "--base 'rbd:POOL/an other-2-base@v1' '$PWD/copies/an other@2.raw' 'rbd:POOL/an other-2'$" said || fail "$(cat said)"

# Nothing to share; nothing to look at; what cannot be looked at.
mkdir none
cp images/alone.raw none
expect 0 "1 images, of which no two could share a base" ferry bases none
expect 2 "there is nothing to look at" ferry bases
expect 1 "nowhere: look for images: No such file" ferry bases nowhere
printf 'QFI\xfb\0\0\0\x63' >none/broken.qcow2
expect 0 "broken.qcow2 is left out: .*version" ferry bases none
[[ -z $(ferry bases -q none 2>&1 >/dev/null) ]] || fail "not quiet"
