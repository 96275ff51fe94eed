# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A guest moves with a snapshot of its disk, and boots from the volume that was rolled back to it; and from a clone of that snapshot,
# which holds what was written since.
source "$ROOT/tests/lab/guest_helpers.sh"
trap 'finish tidy' EXIT

tidy() {
  clear_guests
  clear_volumes mg-history
}
tidy >/dev/null 2>&1
rm -rf -- "$state"

# note VOLUME: a machine whose kernel mounts that volume, prints its note in place of starting a system, and ends.
note() {
  local images=$ROOT/build/images
  rm -f "$work/console"
  cat >"$work/machine.xml" <<END
<domain type='qemu'><name>mg-boot</name><memory unit='MiB'>256</memory>
<os><type arch='x86_64' machine='pc'>hvm</type><kernel>$images/guest-vmlinuz</kernel><initrd>$images/guest-initrd</initrd>
<cmdline>root=LABEL=root console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests mitigations=off init=/bin/cat -- /root/note</cmdline></os>
<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
<on_reboot>destroy</on_reboot>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='network' device='disk'><driver name='qemu' type='raw'/>
<source protocol='rbd' name='$1'><host name='127.0.0.1' port='$(cat "$VMFERRY_LAB/port")'/>
<auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth></source><target dev='vda' bus='virtio'/></disk>
<serial type='file'><source path='$work/console'/></serial>
</devices></domain>
END
  on_a create "$work/machine.xml" >/dev/null
  until_true 300 is_off
  grep -ao 'the note: [a-z]*' "$work/console" || fail "no note in $(tail -n 3 "$work/console")"
}

is_off() {
  ! on_a domstate mg-boot >/dev/null 2>&1
}

start mg-history --disk qcow2
"$lab" guest run "$guest" sh -c 'echo the note: one >/root/note; sync'
node=$(on_a qemu-monitor-command "$guest" --hmp "info block" | sed -nE 's,^(libvirt-[0-9]+-format): .*/vda.qcow2.*,\1,p')
on_a qemu-monitor-command "$guest" --hmp "snapshot_blkdev_internal $node first" >/dev/null
"$lab" guest run "$guest" sh -c 'echo the note: two >/root/note; sync'
on_a destroy "$guest" >/dev/null
move -q --snapshots

ferry convert -q -f qcow2 --base rbd:rbd/mg-history-vda@first "$guests/$guest/vda.qcow2" rbd:rbd/mg-history-clone
[[ $(rbd info rbd/mg-history-clone) == *"parent: rbd/mg-history-vda@first"* ]] || fail "$(rbd info rbd/mg-history-clone)"
[[ $(note rbd/mg-history-clone) == "the note: two" ]] || fail "not what the clone holds"

rbd snap rollback --no-progress rbd/mg-history-vda@first
[[ $(note rbd/mg-history-vda) == "the note: one" ]] || fail "not the snapshot"
