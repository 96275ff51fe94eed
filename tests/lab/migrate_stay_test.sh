# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that cannot leave its host: its disks are moved, and the run ends, there or with another address.
source "$ROOT/tests/lab/guest_helpers.sh"

# A port that somebody has: it answers, and the target's QEMU cannot listen there.
python3 -c 'import socket, time
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
time.sleep(900)' >port &
holder=$!
trap 'kill $holder; finish clear_guests' EXIT
until_true 10 test -s port

# stuck: a staged move whose guest cannot leave, which shows only when it is about to.
stuck() {
  truncate -s 16M disk.raw
  machine mg-stay "$(file_disk "$work/disk.raw" vda)"
  on_a start mg-stay >/dev/null
  expect 1 "--recover --stay mg-stay" move -q --to "$VMFERRY_LAB_HOSTB" --listen-address 127.0.0.1 --migration-uri "tcp://127.0.0.1:$(cat port)"
  on_rbd "$VMFERRY_LAB_HOSTA" vda
}
recover() {
  "$VMFERRY" migrate --recover mg-stay --state-dir "$state" "$@"
}

stuck
expect 1 "--recover --stay mg-stay" recover --undo
recover --stay -q
[[ $(on_a domstate mg-stay) == running ]] || fail "it does not run"
on_rbd "$VMFERRY_LAB_HOSTA" vda
no_journal
machines_down >/dev/null

# The other host is gone: the guest runs here, so it has not left.
stuck
expect 1 "" recover --to "qemu:///system?socket=$work/nobody"
expect 0 "going on without that host" recover --stay --to "qemu:///system?socket=$work/nobody"
no_journal
machines_down >/dev/null

# Another address finishes it.
stuck
recover -q --listen-address 127.0.0.1 --migration-uri tcp://127.0.0.1
on_rbd "$VMFERRY_LAB_HOSTB" vda
no_journal
