# SPDX-License-Identifier: LGPL-2.1-or-later
# Whatever the way, the definitions say of a disk's driver what `vmferry rewrite` says, and what the guest discards gives back room at once.
source "$ROOT/tests/lab/guest_helpers.sh"

driver() { # of standard input, of the disk that is on RBD
  python3 -c '
import sys, xml.etree.ElementTree as tree
for disk in tree.fromstring(sys.stdin.read()).findall("devices/disk"):
    print(disk.get("type"), sorted(disk.find("driver").attrib.items()))'
}

for way in "--method staged" "--method mirror" "--method staged --to $VMFERRY_LAB_HOSTB" "--method mirror --to $VMFERRY_LAB_HOSTB"; do
  host=$VMFERRY_LAB_HOSTA
  [[ $way != *--to* ]] || host=$VMFERRY_LAB_HOSTB
  head -c 8M /dev/urandom >disk.img
  machine mg-driver "$(file_disk "$PWD/disk.img" vda "type='raw' cache='none' io='native' queues='2' rerror_policy='report'")"
  wanted=$(on_a dumpxml --inactive mg-driver | ferry rewrite --pool rbd --id libvirt --secret-uuid "$secret" -q | driver)
  on_a start mg-driver
  # shellcheck disable=SC2086
  move --progress none --trace $way >report 2>said
  ! grep "^vmferry: warning" said || fail "$way: it warned"
  [[ $(virsh -q -c "$host" dumpxml --inactive mg-driver | driver) == "$wanted" ]] ||
    fail "$way: $(virsh -q -c "$host" dumpxml --inactive mg-driver | driver), not $wanted"
  # What libvirt was asked is told, and what it answered; of definitions and keys nothing.
  for told in said "$state/mg-driver.log"; do
    grep -E 'here: state mg-driver = running \([0-9]+ ms\)$' "$told" >/dev/null || fail "$way: not in $told: $(cat "$told")"
    ! grep -F -e '<domain' -e "$(ceph auth get-key client.libvirt)" "$told" || fail "$way: a definition or key is in $told"
  done
  grep -E 'here: (pivot mg-driver vda|migrate mg-driver to there) \.\.\.$' "$state/mg-driver.log" >/dev/null || fail "$way: no beginning is told"
  (($(volume_used mg-driver-vda) > 0)) || fail "$way: nothing is there to discard"
  guest_io "$host" 0 "discard 0 8M"
  (($(volume_used mg-driver-vda) == 0)) || fail "$way: what was discarded still takes $(volume_used mg-driver-vda) bytes"
  guest_io "$host" 0 "write -P 1 0 64k" | grep -qi error && fail "$way: the disk takes no write"
  virsh -q -c "$host" destroy mg-driver
  virsh -q -c "$host" start mg-driver
  machines_down
done
