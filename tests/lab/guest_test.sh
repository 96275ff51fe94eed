# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab's guests: they run, write, and answer; and virsh alone can move one to the other host and to Ceph.
eval "$("$ROOT/tools/lab" env)"
lab="$ROOT/tools/lab"
undo() {
  "$lab" guest down lab-one
  "$lab" guest down lab-two
  rbd rm --no-progress rbd/lab-one
}
trap 'finish undo' EXIT
on_a() {
  virsh -q -c "$VMFERRY_LAB_HOSTA" "$@"
}
on_b() {
  virsh -q -c "$VMFERRY_LAB_HOSTB" "$@"
}
files="$VMFERRY_LAB/guests"
undo >/dev/null 2>&1 || true

# Every kind of disk, a second one, and a cdrom.
"$lab" guest up lab-one --disk qcow2 --second-disk --cdrom
[[ $(on_a domstate lab-one) == running ]] || fail "it does not run"
qemu-img info -U "$files/lab-one/vda.qcow2" | grep 'backing file: vda-base.raw' >/dev/null || fail "no backing file"
[[ $("$lab" guest run lab-one sh -c 'cd /mnt/second && sha256sum -c SHA256SUMS') == "random: OK" ]] || fail "no second disk"
"$lab" guest run lab-one cat /dev/sr0 | cmp - "$files/lab-one/cdrom.iso" || fail "no cdrom"
expect 3 "said this" "$lab" guest run lab-one sh -c 'echo said this; exit 3'
expect 1 "there is a guest 'lab-one' already" "$lab" guest up lab-one
expect 0 "" "$lab" guest down lab-one
[[ ! -e $files/lab-one ]] || fail "its files are left"
expect 1 "failed to get domain" on_a domstate lab-one

"$lab" guest up lab-two --disk thick
# It runs, and what it writes as zeros may become a hole.
(($(allocated "$files/lab-two/vda.raw") >= (4 << 30) - (64 << 20))) || fail "not fully allocated"
"$lab" guest down lab-two

# Live to the other host and to Ceph.
secret=$("$lab" secret)
"$lab" guest up lab-one
(($(allocated "$files/lab-one/vda.raw") <= 500 << 20)) || fail "not thin"
rbd create --size "$(stat -c %s "$files/lab-one/vda.raw")B" rbd/lab-one
to_rbd() {
  sed "s|<disk type='file' device='disk'>|<disk type='network' device='disk'>|
    s|<source file='$files/lab-one/vda.raw'[^>]*>|<auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth><source protocol='rbd' name='rbd/lab-one'><host name='127.0.0.1' port='$(cat "$VMFERRY_LAB/port")'/></source>|"
}
on_a dumpxml --migratable lab-one | to_rbd >live.xml
on_a dumpxml --migratable --inactive lab-one | to_rbd >persistent.xml
on_a migrate --live --persistent --undefinesource --copy-storage-all --migrate-disks vda --listen-address 127.0.0.1 \
  --xml live.xml --persistent-xml persistent.xml lab-one "$VMFERRY_LAB_HOSTB"
"$lab" guest wait lab-one
for how in "" --inactive; do
  # shellcheck disable=SC2086 # maybe no word
  on_b dumpxml $how lab-one | grep "name='rbd/lab-one'" >/dev/null || fail "its definition ($how) does not name the volume"
done
expect 1 "failed to get domain" on_a domstate lab-one
[[ $("$lab" guest run lab-one /usr/local/sbin/guest-check) -gt 0 ]] || fail "nothing was written"
