# SPDX-License-Identifier: LGPL-2.1-or-later
# A real guest: its image is refused while the guest uses it, and what was trimmed boots.
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg LIBGUESTFS_CACHEDIR=/var/tmp TMPDIR=$work
source "$ROOT/tests/lab/guest_helpers.sh"
readonly BIG=160 # MiB that the guest writes and removes
start mg-trim --cdrom
disk="$guests/$guest/vda.raw"
cdrom="$guests/$guest/cdrom.iso"

# Its lock, and libvirt's word: for a disk that is only read there is no lock.
expect 1 "a running virtual machine has it open for writing" ferry sparsify --in-place "$disk"
expect 1 "the running machine '$guest' uses it" ferry sparsify --in-place --connect "$VMFERRY_LAB_HOSTA" "$disk"
expect 1 "the running machine '$guest' uses it" ferry sparsify --trim --connect "$VMFERRY_LAB_HOSTA" "$disk" copy.raw
expect 1 "the running machine '$guest' uses it" ferry sparsify --in-place --connect "$VMFERRY_LAB_HOSTA" "$cdrom"
expect 1 "the running machine '$guest' uses it" env LIBVIRT_DEFAULT_URI="$VMFERRY_LAB_HOSTA" "$VMFERRY" sparsify --in-place "$cdrom"
on_a suspend "$guest" >/dev/null
expect 1 "the running machine '$guest' uses it" ferry sparsify --in-place --connect "$VMFERRY_LAB_HOSTA" "$cdrom"
on_a resume "$guest" >/dev/null
expect 0 "saved" ferry sparsify --in-place --connect "$VMFERRY_LAB_HOSTB" "$cdrom" # another host

# A libvirt that never answers is waited for, but not long, and only if it was named.
python3 -c 'import socket, time
listener = socket.socket(socket.AF_UNIX)
listener.bind("silent")
listener.listen()
time.sleep(600)' &
silent=$!
trap 'kill "$silent"; finish clear_guests' EXIT
until_true 10 test -S silent
truncate -s 1M free.raw
expect 1 "libvirt does not answer" timeout 30 "$VMFERRY" sparsify --in-place --connect "qemu:///system?socket=$work/silent" free.raw
expect 0 "saved" env LIBVIRT_DEFAULT_URI="qemu:///system?socket=$work/silent" timeout 20 "$VMFERRY" sparsify --in-place free.raw
expect 1 "No such file" ferry sparsify --in-place --connect "qemu:///system?socket=$work/none" free.raw

readonly SUMS='cd / && find etc usr/bin usr/sbin usr/lib/systemd -xdev -type f -print0 | sort -z | xargs -0 sha256sum'
"$lab" guest run "$guest" sh -c "dd if=/dev/urandom of=/big bs=1M count=$BIG status=none && sync && rm /big && sync"
"$lab" guest run "$guest" sh -c "$SUMS" >before.sums
on_a shutdown "$guest" >/dev/null
is_shut_off() {
  [[ $(on_a domstate "$guest") == "shut off" ]]
}
until_true 120 is_shut_off
cp --sparse=always "$disk" before.raw

ferry sparsify --trim --json --connect "$VMFERRY_LAB_HOSTA" -f raw "$disk" copy.raw >report.json
same before.raw "$disk"
python3 - "$BIG" <<'PY'
import json, sys
report = json.load(open("report.json"))
root = report["parts"][0]
assert root["type"] == "ext4" and "left_whole" not in root, report
most = int(sys.argv[1]) - 4 << 20  # the guest writes on, into some of that room
assert root["dropped_bytes"] >= most and report["saved_bytes"] >= most, report
PY

on_a dumpxml --inactive "$guest" | sed "s|$disk|$work/copy.raw|" >copy.xml
grep -q "$work/copy.raw" copy.xml || fail "the definition does not name the copy"
on_a define copy.xml >/dev/null
: >"$log"
on_a start "$guest" >/dev/null
"$lab" guest wait "$guest"
until_true 120 "$lab" guest run "$guest" true # its agent starts a little later
"$lab" guest run "$guest" sh -c "$SUMS" >after.sums
same before.sums after.sums
(($(wc -l <after.sums) > 500)) || fail "too few files: $(wc -l <after.sums)"
