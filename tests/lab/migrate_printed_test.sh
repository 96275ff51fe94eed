# SPDX-License-Identifier: LGPL-2.1-or-later
# The command that a killed run leaves to be typed works as it is printed: from anywhere, without the options of the run.
source "$ROOT/tests/lab/guest_helpers.sh"
mkdir bin conf
ln -s "$VMFERRY" bin/vmferry
# A cluster whose configuration names no keyring, so that the one of the run is needed.
grep -v '^ *keyring' "$CEPH_CONF" >conf/ceph.conf
grep -q '^ *keyring' "$CEPH_CONF" || fail "the lab's configuration names no keyring"
ceph auth get client.libvirt -o conf/libvirt.keyring 2>/dev/null
head -c 16M /dev/urandom >"it's.raw"
machine "mg it's" "$(file_disk "$PWD/it&apos;s.raw" vda)"
on_a start "$guest"

run=(env -u CEPH_CONF "$VMFERRY" migrate "$guest" --connect "$VMFERRY_LAB_HOSTA" --disk vda=rbd:rbd/mg-printed --id libvirt
  --keyring libvirt.keyring --ceph-conf ceph.conf --secret-uuid "$secret" --state-dir ../state --overlay-dir .. --progress none)
(cd conf && exec "${run[@]}" --rate-limit 1M) 2>said &
mover=$!
until_true 60 grep "copy the frozen images" said
kill -9 "$mover"
wait "$mover" || true

! (cd conf && exec "${run[@]}") >refused 2>&1 || fail "it moved"

printed=$(grep -o "vmferry migrate --recover .*" refused | head -n 1)
[[ -n $printed ]] || fail "no command is printed"
(cd / && env -u CEPH_CONF PATH="$work/bin:$PATH" bash -c "$printed -q")
no_journal
[[ $(disks "$VMFERRY_LAB_HOSTA") == "vda file $PWD/it's.raw" ]] || fail "not as it was: $(disks "$VMFERRY_LAB_HOSTA")"
[[ -z $(find . -name '*overlay*') ]] || fail "an overlay is left"
! rbd info rbd/mg-printed 2>/dev/null || fail "the volume is left"
