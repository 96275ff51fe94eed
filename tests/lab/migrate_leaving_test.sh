# SPDX-License-Identifier: LGPL-2.1-or-later
# What keeps a machine on its host, or ties its disks to it, is found before anything moves.
source "$ROOT/tests/lab/guest_helpers.sh"

truncate -s 16M a.raw b.raw
lib=$VMFERRY_LAB/hosta/lib # what hosta has as /var/lib/libvirt, and nobody else
truncate -s 16M "$lib/mg-private.raw"
trap 'rm -f "$lib/mg-private.raw"; finish clear_guests' EXIT

# with DEVICES [DOMAIN-XML]: machine mg-tied with these, running.
with() {
  machine mg-tied "$(file_disk "$work/a.raw" vda) $1" "${2-}"
  on_a start mg-tied >/dev/null
}
# refused PATTERN OPTION...: and nothing has changed; takes the machine away.
refused() {
  expect 1 "FAILED +$1" move "${@:2}"
  [[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $work/a.raw"* ]] || fail "a disk moved"
  no_journal
  machines_down >/dev/null
}
away=(--to "$VMFERRY_LAB_HOSTB")

# Devices that stay where they are, as the definition tells, and as QEMU tells.
with "<shmem name='mg'><model type='ivshmem-plain'/><size unit='M'>4</size></shmem>"
refused "devices: shared memory mg" "${away[@]}"
with "<filesystem type='mount'><driver type='virtiofs'/><source dir='/tmp'/><target dir='t'/></filesystem>" \
  "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>"
refused "QEMU: it would not let the guest go: .*vhost-user" "${away[@]}" --method mirror

# Where the guest is sent.
with ""
refused "way to the target: .*listen on 127.0.0.2 only" "${away[@]}" --listen-address 127.0.0.2 --migration-uri tcp://127.0.0.3:49999
with ""
refused "way to the target: no-such-host.invalid: look up" "${away[@]}" --migration-uri tcp://no-such-host.invalid
with ""
refused "way to the target: .*255.255.255.255" "${away[@]}" --listen-address 0.0.0.0 --migration-uri tcp://255.255.255.255
with ""
refused "certificates: there is no ca-cert.pem" "${away[@]}" --tls

# Disks that stay behind: named by nobody, transient, only in the stored definition; of a machine that is off, too.
private=$(file_disk /var/lib/libvirt/mg-private.raw vdb)
one=(--disk "vda=rbd:rbd/mg-tied-vda")
for method in staged mirror; do
  with "$private"
  refused "disk vdb: /var/lib/libvirt/mg-private.raw stays on hosta" "${away[@]}" "${one[@]}" --method $method
done
with "$private"
refused "disk vdb: /var/lib/libvirt/mg-private.raw stays on hosta" "${away[@]}" "${one[@]}" --mode offline
with "$(file_disk "$work/b.raw" vdb | sed 's|</disk>|<transient/>&|')"
refused "disk vdb: .*it is transient.*libvirt migrates no running guest" "${away[@]}"
with ""
on_a attach-disk mg-tied /var/lib/libvirt/mg-private.raw vdb --config >/dev/null
refused "disk vdb: .*only the stored definition names it" "${away[@]}"

# With copy on read libvirt commits no overlay, on one host, too. The other ways go.
qemu-img create -q -f qcow2 -F raw -b "$work/b.raw" top.qcow2
machine mg-tied "$(file_disk "$work/top.qcow2" vda "type='qcow2' copy_on_read='on'")"
on_a start mg-tied >/dev/null
expect 1 "FAILED +disk vda: it has copy_on_read" move
no_journal
move -q --method mirror
on_rbd "$VMFERRY_LAB_HOSTA" vda
