# SPDX-License-Identifier: LGPL-2.1-or-later
# Back from RBD to qcow2 images: while the machine runs, offline, by QEMU's mirror, and after a kill. QEMU finds no fault with the images,
# they hold the same bytes, and the machine runs on them.
source "$ROOT/tests/lab/guest_helpers.sh"

disk_xml="<disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='rbd/mg-q-vda'><config file='$CEPH_CONF'/>
<auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth></source><target dev='vda' bus='virtio'/></disk>"
image=back/mg-q-vda.qcow2
back=(migrate mg-q --connect "$VMFERRY_LAB_HOSTA" --to-dir back -O qcow2 --state-dir "$state")
mkdir back

# patch BYTE OFFSET FILE: 64 KiB of it, as guest_io writes them.
patch() {
  dd if=<(head -c 65536 /dev/zero | tr '\0' "\\$(printf %o "$1")") of="$3" bs=64K seek="$(($(numfmt --from=iec "$2") >> 16))" conv=notrunc \
    status=none iflag=fullblock
}

# begin [STATE]: the machine on the volume, which is before.raw; what it holds in the end is to be expected.raw.
begin() {
  on_a destroy mg-q 2>/dev/null || true
  on_a undefine mg-q 2>/dev/null || true
  rm -f back/*
  machine mg-q "$disk_xml"
  cp --sparse=always before.raw expected.raw
  [[ ${1-} == off ]] || on_a start mg-q
}

# writes BYTE OFFSET: the machine, to its disk.
writes() {
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $1 $2 64k" >/dev/null
  guest_io "$VMFERRY_LAB_HOSTA" 0 flush >/dev/null
  patch "$1" "$2" expected.raw
}

# holds: both definitions name the image, and it is whole and as expected, also after the machine ran on it once more.
holds() {
  local how
  for how in "" --inactive; do
    [[ $(disks "$VMFERRY_LAB_HOSTA" "$how") == "vda file $PWD/$image" ]] || fail "$1 ($how): $(disks "$VMFERRY_LAB_HOSTA" "$how")"
    on_a dumpxml ${how:+"$how"} mg-q | grep "<driver name='qemu' type='qcow2'" >/dev/null || fail "$1 ($how): not defined as qcow2"
  done
  [[ $(on_a domstate mg-q) == running ]] || on_a start mg-q || fail "$1: it does not start"
  writes 9 3M
  on_a destroy mg-q
  qemu-img check -q -f qcow2 "$image" || fail "$1: $(qemu-img check -f qcow2 "$image" 2>&1)"
  qemu-img compare -q -f raw -F qcow2 expected.raw "$image" || fail "$1: another disk"
  on_a start mg-q || fail "$1: it does not start again"
  [[ $(find back -type f) == "$image" ]] || fail "$1: left behind: $(ls -A back)"
  no_journal
}

# format_specific NAME: of the image, as qemu-img tells it.
format_specific() {
  qemu-img info -U --output json "$image" | python3 -c 'import json, sys; print(json.load(sys.stdin)["format-specific"]["data"][sys.argv[1]])' "$1"
}

truncate -s 64M before.raw
seq 1 400000 | dd of=before.raw bs=1M seek=5 conv=notrunc status=none
rbd import --no-progress --sparse-size 64K before.raw rbd/mg-q-vda

begin
expect 0 "rbd:rbd/mg-q-vda -> .*/$image .qcow2, zstd." ferry "${back[@]}" --compress zstd --dry-run
ferry "${back[@]}" --compress zstd --dry-run --json | grep '"format": "qcow2"' >/dev/null || fail "the plan does not tell the format"
expect 1 "FAILED   compression: QEMU's mirror does not compress" ferry "${back[@]}" --compress zstd --method mirror --check
[[ -z $(ls -A back) ]] || fail "checks leave something behind"

ferry "${back[@]}" --compress zstd >said 2>&1 || fail "not moved: $(cat said)"
! grep "gives back no room" said || fail "discards are lost"
grep '"format": "qcow2"' "$state"/mg-q-*.record >/dev/null || fail "the record does not tell the format"
[[ $(format_specific compression-type) == zstd ]] || fail "not compressed as it was asked for"
(($(allocated "$image") <= 2 << 20)) || fail "not compressed: $(allocated "$image")"
writes 7 20M
# Once it is the whole of clusters, QEMU forgets it only if discards are let through.
guest_io "$VMFERRY_LAB_HOSTA" 0 "discard 5M 1M" >/dev/null
dd if=/dev/zero of=expected.raw bs=1M seek=5 count=1 conv=notrunc status=none
holds "live"

begin off
ferry "${back[@]}" --compress zlib --compression-level 9 --cluster-size 128K -q
[[ $(on_a domstate mg-q) == "shut off" ]] || fail "it was started"
qemu-img info "$image" | grep "cluster_size: 131072" >/dev/null || fail "other clusters: $(qemu-img info "$image")"
[[ $(format_specific compression-type) == zlib ]] || fail "not compressed as it was asked for"
holds "offline"

begin
ferry "${back[@]}" --method mirror -q
writes 7 20M
holds "mirrored"

# kill -9 in the middle of the copy.
killed() {
  begin
  rm -f steps
  "$VMFERRY" "${back[@]}" --compress zstd --rate-limit 1M --progress json >result 2>steps &
  mover=$!
  wait_for_step 'copy the frozen'
  sleep 0.5
  kill -KILL "$mover"
  wait "$mover" 2>/dev/null || true
  writes 8 30M # it is in the overlay, and nowhere else
}
killed
ferry migrate --recover mg-q --state-dir "$state" --json -q >end.json || fail "not recovered"
grep -q '"end":"undone"' end.json || fail "went on with what cannot be gone on with: $(cat end.json)"
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda network rbd/mg-q-vda" ]] || fail "not undone: $(disks "$VMFERRY_LAB_HOSTA")"
[[ -z $(ls -A back) ]] || fail "left behind: $(ls -A back)"
patch 8 30M before.raw # it is in the volume now
killed
ferry migrate --recover --finish mg-q --state-dir "$state" --rate-limit 1G -q || fail "not finished"
[[ $(format_specific compression-type) == zstd ]] || fail "the recovery forgot how it was to be compressed"
holds "finished"
