# SPDX-License-Identifier: LGPL-2.1-or-later
# --trim on real file systems: what guests deleted goes, what they keep stays, whatever is doubtful is left whole.
# One GPT disk holds them all, so that the appliance starts a few times only.
((EUID == 0)) || fail "needs root, as the lab does"
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg LIBGUESTFS_CACHEDIR=/var/tmp TMPDIR=$work
readonly SWAP_UUID=7f4c0d0a-52f3-4d7e-9d5e-0123456789ab
readonly GONE="DELETED BY GUEST"
readonly DISK_MIB=904

loop=
cleanup() {
  umount -q dirty
  [[ -z $loop ]] || losetup -d "$loop"
}
trap 'finish cleanup' EXIT

# What a guest keeps. What they deleted is in every free block: the file systems are made where it lies.
mkdir -p tree/dir dirty
head -c 3M /dev/urandom >tree/dir/keep.bin
echo small >tree/dir/small

part() { # NAME MIB: a partition full of what was deleted
  head -c "$2M" < <(yes "${GONE}") >"part.$1"
}

put() { # FILE MIB
  dd if="$1" of=disk.raw bs=1M seek="$2" conv=notrunc status=none
}

make_parts() {
  part ext4 64
  mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 -d tree part.ext4
  part xfs 320
  printf '%s\n' /dev/null "0 0" "d--755 0 0" "dir d--755 0 0" "keep.bin ---644 0 0 tree/dir/keep.bin" \
    "small ---644 0 0 tree/dir/small" '$' '$' >proto
  mkfs.xfs -q -f -K -p proto part.xfs
  part btrfs 128
  mkfs.btrfs -q -f -K --rootdir tree part.btrfs 2>/dev/null
  part ntfs 32
  mkntfs -q -F -f -s 512 -p 0 -H 255 -S 63 part.ntfs >/dev/null 2>&1
  ntfscp -q -f part.ntfs tree/dir/keep.bin keep.bin
  cp part.ntfs part.hibernated
  { printf hibr && head -c 4092 /dev/zero; } >hiberfil.sys # as Windows begins its own
  ntfscp -q -f part.hibernated hiberfil.sys hiberfil.sys
  part vfat 64
  mkfs.vfat -F 32 part.vfat >/dev/null
  mcopy -i part.vfat tree/dir/keep.bin ::/keep.bin
  part swap 32
  mkswap -q -U "$SWAP_UUID" -L spare part.swap
  make_dirty
}

# Taken from under a mount: its journal has not been replayed.
make_dirty() {
  part dirty 64
  mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 part.dirty
  mount -o loop part.dirty dirty
  cp tree/dir/keep.bin dirty/
  sync -f dirty
  echo more >dirty/more
  sync -f dirty
  cp part.dirty part.unclean
  umount dirty
}

# LVM without the kernel's part in it: what it writes is the same.
guest_lvm() { # COMMAND ARGUMENT...
  lvm "$1" -q --driverloaded n --config "devices { scan_lvs=0 use_devicesfile=0 filter=[\"a|$loop|\",\"r|.*|\"] }
    activation { udev_sync=0 udev_rules=0 monitoring=0 } backup { backup=0 archive=0 }" "${@:2}" 2>lvm.err || fail "$(cat lvm.err)"
}

# A group with 31 extents of 4 MiB: a file system in 16, then 4 of a volume that was removed, swap in one, the rest free.
make_lvm() {
  export LVM_SUPPRESS_FD_WARNINGS=1
  head -c 128M < <(yes "${GONE}") >part.lvm
  dd if=/dev/zero of=part.lvm bs=1M count=1 conv=notrunc status=none
  loop=$(losetup --find --show part.lvm)
  guest_lvm pvcreate -ff -y "$loop" >/dev/null
  guest_lvm vgcreate guest "$loop" >/dev/null
  guest_lvm lvcreate -an -Zn -Wn -l 16 -n root guest >/dev/null
  guest_lvm lvcreate -an -Zn -Wn -l 4 -n old guest >/dev/null
  guest_lvm lvcreate -an -Zn -Wn -l 1 -n swap guest >/dev/null
  guest_lvm lvremove -f guest/old >/dev/null
  losetup -d "$loop"
  loop=
  dd if=part.ext4 of=part.lvm bs=1M seek=1 conv=notrunc status=none # behind LVM's own first MiB
  head -c 4M part.swap >small.swap
  mkswap -q -L lvswap small.swap
  dd if=small.swap of=part.lvm bs=1M seek=81 conv=notrunc status=none
}

make_parts
make_lvm
truncate -s "${DISK_MIB}M" disk.raw
sfdisk -q disk.raw <<'END'
label: gpt
start=1MiB, size=64MiB
start=65MiB, size=320MiB
start=385MiB, size=128MiB
start=513MiB, size=32MiB
start=545MiB, size=64MiB
start=609MiB, size=32MiB
start=641MiB, size=128MiB
start=777MiB, size=32MiB
start=809MiB, size=64MiB
END
head -c 8M < <(yes "${GONE}") >gap
put gap 769
put part.unclean 809
at=1
for name in ext4 xfs btrfs ntfs vfat swap lvm; do
  put "part.$name" $at
  at=$((at + $(stat -c %s "part.$name") / 1048576))
done
put part.hibernated 777

# What the file systems hold, seen from inside; each must be able to say that it is well.
readonly DEVICES=(/dev/sda1 /dev/sda2 /dev/sda3 /dev/sda4 /dev/sda5 /dev/guest/root /dev/sda8 /dev/sda9)
describe() { # OUT IMAGE FORMAT
  local device number=0
  {
    printf '%s\n' "add $2 format:$3 readonly:true" run
    printf '%s\n' "e2fsck-f /dev/sda1" "e2fsck-f /dev/guest/root" "xfs-repair /dev/sda2 nomodify:true" "btrfs-fsck /dev/sda3"
    printf '%s\n' "vfs-uuid /dev/sda6" "vfs-label /dev/sda6" "vfs-label /dev/guest/swap" "part-get-gpt-guid /dev/sda 3" lvs
    for device in "${DEVICES[@]}"; do
      number=$((number + 1))
      printf '%s\n' "mount-ro $device /" "checksums-out sha256 / sums.$number" umount-all
    done
  } >describe.gf
  guestfish -f describe.gf >"$1" || fail "$2 is damaged: $(cat "$1")"
  for number in $(seq ${#DEVICES[@]}); do
    grep -q keep.bin "sums.$number" || fail "no files in ${DEVICES[number - 1]} of $2"
    sort -k 2 "sums.$number" >>"$1"
    rm "sums.$number"
  done
}

remnants() { # IMAGE FIRST COUNT: how many MiB of what was deleted lie in these
  local bytes
  bytes=$(dd if="$1" bs=1M skip="$2" count="$3" status=none | grep -ac "$GONE" || true)
  echo $((bytes * (${#GONE} + 1) / 1048576))
}

check_garbage() { # IMAGE: clusters that are used in part may stay
  local range left
  for range in 1:64:4 65:320:16 385:128:24 513:32:2 545:64:2 609:32:1 641:128:6 769:8:1; do
    IFS=: read -r first count most <<<"$range"
    left=$(remnants "$1" "$first" "$count")
    ((left <= most)) || fail "$left MiB of what was deleted are left in $1 from MiB $first on"
  done
  cmp -i "$((777 * 1048576))" -n "$((32 * 1048576))" disk.before "$1" || fail "the hibernated Windows was touched"
  cmp -i "$((809 * 1048576))" -n "$((64 * 1048576))" disk.before "$1" || fail "the unclean file system was touched"
}

check_report() { # JSON
  python3 - "$1" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
parts = {part["name"]: part for part in report["parts"]}
MIB = 1 << 20
for name, size in (("/dev/sda1", 64), ("/dev/sda2", 320), ("/dev/sda3", 128), ("/dev/sda4", 32), ("/dev/sda5", 64),
                   ("/dev/guest/root", 64)):
    part = parts[name]
    assert "left_whole" not in part and part["size_bytes"] == size * MIB, part
    assert size * MIB // 2 < part["dropped_bytes"] <= size * MIB, part
    assert part["used_bytes"] > 3 * MIB, part
assert parts["/dev/sda1"]["type"] == "ext4", parts
assert parts["/dev/sda6"]["type"] == "swap" and parts["/dev/sda6"]["dropped_bytes"] > 30 * MIB, parts
assert "left_whole" not in parts["/dev/guest/swap"], parts
assert "hibernated" in parts["/dev/sda8"]["left_whole"], parts
assert "not unmounted cleanly" in parts["/dev/sda9"]["left_whole"], parts
assert parts["free extents of guest"]["dropped_bytes"] >= 32 * MIB, parts
assert any(part["type"] == "gap" and part["size_bytes"] == 8 * MIB and part["dropped_bytes"] == 8 * MIB
           for part in report["parts"]), parts
assert report["saved_bytes"] > 400 * MIB, report
PY
}

cp --sparse=always disk.raw disk.before
describe wanted.txt disk.raw raw
(($(remnants disk.raw 1 808) > 600)) || fail "the test's own garbage is missing"

# A copy: the source keeps every byte.
ferry sparsify --trim --json disk.raw copy.raw >copy.json 2>said.txt
grep -q "emulates a machine, without KVM, which is slow" said.txt || fail "does not say that it is slow: $(cat said.txt)"
same disk.before disk.raw
check_report copy.json
check_garbage copy.raw
describe copy.txt copy.raw raw
diff wanted.txt copy.txt || fail "the copy holds other files"

# In place. Killed in the middle, it leaves all that the guest keeps; the next run ends what was begun.
qemu-img convert -f raw -O qcow2 disk.raw disk.qcow2
full=$(allocated disk.qcow2)
"$VMFERRY" sparsify -q --trim --in-place -f qcow2 disk.qcow2 &
victim=$!
is_being_trimmed() {
  (($(allocated disk.qcow2) < full - (100 << 20)))
}
until_true 300 is_being_trimmed
kill -KILL "$victim"
wait "$victim" || true
until_true 60 qemu-io -f qcow2 -c quit disk.qcow2 # libguestfs ends its QEMU
status=0
qemu-img check -q disk.qcow2 || status=$?
((status == 0 || status == 3)) || fail "the killed run damaged the image ($status)" # 3: room is lost, no data
(($(allocated disk.qcow2) > full / 3)) || fail "it was killed too late"

# What the killed run lost would be lost here, too.
ferry sparsify --trim --in-place --json -f qcow2 disk.qcow2 >qcow2.json
grep -q '"left_whole"' qcow2.json || fail "the report is short"
qemu-img convert -f qcow2 -O raw disk.qcow2 from-qcow2.raw
check_garbage from-qcow2.raw
describe qcow2.txt from-qcow2.raw raw
diff wanted.txt qcow2.txt || fail "the qcow2 image holds other files"
no_leftovers
[[ -z $(find . -name 'vmferry-trim*') ]] || fail "left behind: $(find . -name 'vmferry-trim*')"
