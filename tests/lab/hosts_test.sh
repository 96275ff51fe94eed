# SPDX-License-Identifier: LGPL-2.1-or-later
# The lab itself: two libvirt hosts that a guest can live on and move between, and `down`, which leaves nothing behind.
export VMFERRY_LAB=$work/lab
lab="$ROOT/tools/lab"
undo() {
  "$lab" down
}
trap 'finish undo' EXIT
"$lab" up
eval "$("$lab" env)"
on_a() {
  virsh -q -c "$VMFERRY_LAB_HOSTA" "$@"
}
on_b() {
  virsh -q -c "$VMFERRY_LAB_HOSTB" "$@"
}
state_is() { # HOST STATE
  [[ $("on_$1" domstate bare) == "$2" ]] || fail "the guest on host$1 is $("on_$1" domstate bare), not $2"
}

[[ $(on_a hostname) == hosta && $(on_b hostname) == hostb ]] || fail "wrong host names"
[[ $(on_a capabilities | grep -m 1 -o '<uuid>.*') != "$(on_b capabilities | grep -m 1 -o '<uuid>.*')" ]] || fail "one UUID for two hosts"

# A guest without an operating system, its disk on Ceph.
secret=$("$lab" secret)
port=$(cat "$VMFERRY_LAB/port")
rbd create --size 1G rbd/bare
cat >bare.xml <<END
<domain type='qemu'>
  <name>bare</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64'>hvm</type></os>
  <devices>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <auth username='libvirt'><secret type='ceph' uuid='$secret'/></auth>
      <source protocol='rbd' name='rbd/bare'><host name='127.0.0.1' port='$port'/></source>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
END
on_a define bare.xml
on_a start bare
state_is a running
expect 1 "failed to get domain" on_b domstate bare

# Live to the other host, over the shared volume.
on_a migrate --live --persistent --undefinesource bare "$VMFERRY_LAB_HOSTB"
state_is b running
expect 1 "failed to get domain" on_a domstate bare
rbd status rbd/bare | grep watcher= >/dev/null || fail "the guest does not use its volume"

# A libvirtd that died comes back with its definitions and its running guest.
qemu=$(cat "$VMFERRY_LAB/hostb/run/libvirt/qemu/bare.pid")
kill -KILL "$(cat "$VMFERRY_LAB/hostb.pid")"
expect 1 "hostb does not answer" "$lab" status
"$lab" up
state_is b running
[[ $(cat "$VMFERRY_LAB/hostb/run/libvirt/qemu/bare.pid") == "$qemu" ]] || fail "the guest is another process"

# Nothing of a running guest, of its host, and of Ceph is left; nothing of it was ever seen from outside.
mapfile -t pids < <(cat "$VMFERRY_LAB"/*.pid)
((${#pids[@]} == 5)) || fail "pids of ${#pids[@]} daemons"
expect 0 "stopped" "$lab" down
for pid in "${pids[@]}" "$qemu"; do
  # A zombie has ended; only its parent has not heard of it yet.
  ! grep -qs '^State:[[:space:]]*[^ZX[:space:]]' "/proc/$pid/status" || fail "process $pid still runs"
done
[[ ! -e $VMFERRY_LAB ]] || fail "its directory is left"
expect 1 "" grep -F "$VMFERRY_LAB" /proc/mounts
! grep -qsF "$VMFERRY_LAB" /proc/[1-9]*/mountinfo || fail "still mounted"
