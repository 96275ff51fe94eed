# SPDX-License-Identifier: LGPL-2.1-or-later
# The qemu-nbd that reads a foreign image ends with us, however we end; and what it may do is little.
truncate -s 16M disk.raw
dd if=/dev/urandom of=disk.raw bs=1M count=8 conv=notrunc status=none
qemu-img convert -O vmdk disk.raw disk.vmdk

mkdir .sockets
export TMPDIR=$PWD/.sockets # where nobody else has any

server_of() { # PID
  pgrep -x -P "$1" qemu-nbd
}
begin() {
  "$VMFERRY" convert -q --rate-limit 2M --force disk.vmdk copy.raw 2>said.txt &
  copy=$!
  until_true 20 server_of "$copy"
  server=$(server_of "$copy")
  until_true 20 compgen -G '.*.vmferry-partial*' >partial
}
is_gone() {
  ! kill -0 "$1" 2>/dev/null
}
no_sockets() {
  [[ -z $(ls -A .sockets) ]] || fail "a directory of a socket is left"
}

# It dies in the middle: an error that says so, and where.
begin
no_sockets
kill -9 "$server"
wait "$copy" && fail "the copy ended well"
grep -Eq 'disk.vmdk: .* at .*: qemu-nbd, which reads it, ended \(signal 9\)' said.txt || fail "said: $(cat said.txt)"
no_leftovers

# We are killed.
begin
kill -9 "$copy"
wait "$copy" 2>/dev/null || true
until_true 5 is_gone "$server"
no_sockets
rm -f .*.vmferry-partial*

# Interrupted: as if it were any other source.
begin
kill -INT "$copy"
status=0
wait "$copy" || status=$?
((status == 130)) || fail "status $status: $(cat said.txt)"
until_true 5 is_gone "$server"
rm -f .*.vmferry-partial*

# Changed meanwhile.
begin
printf x | dd of=disk.vmdk bs=1 seek=700 conv=notrunc status=none
wait "$copy" && fail "the copy ended well"
grep -q 'something wrote to it meanwhile' said.txt || fail "said: $(cat said.txt)"

# It has no more rights than it needs, and no name of a file.
begin
grep -q 'NoNewPrivs:.*1' "/proc/$server/status" || fail "it may get new privileges"
if ((EUID == 0)); then
  # CAP_DAC_READ_SEARCH
  grep -q 'CapBnd:.0000000000000004' "/proc/$server/status" || fail "$(grep Cap "/proc/$server/status")"
  grep -q 'CapEff:.0000000000000004' "/proc/$server/status" || fail "$(grep Cap "/proc/$server/status")"
  [[ $(readlink "/proc/$server/ns/net") != $(readlink /proc/self/ns/net) ]] || fail "it has the host's network"
fi
tr '\0' ' ' <"/proc/$server/cmdline" | grep -q disk.vmdk && fail "it got a name"
[[ $(tr '\0' '\n' <"/proc/$server/environ" | cut -d= -f1 | sort | tr '\n' ' ') == "LC_ALL LISTEN_FDS LISTEN_PID MALLOC_ARENA_MAX PATH " ]] ||
  fail "its environment is $(tr '\0' ' ' <"/proc/$server/environ")"
kill "$copy"
wait "$copy" || true
until_true 5 is_gone "$server"
rm -f .*.vmferry-partial*

# Programs that are none.
mkdir bin
fake() { # SCRIPT
  printf '#!/bin/sh\n%s\n' "$1" >bin/qemu-nbd
  chmod +x bin/qemu-nbd
}
fake 'echo "qemu-nbd: no such option" >&2; exit 1'
expect 1 'disk.vmdk: open with QEMU: qemu-nbd: no such option' env PATH="$PWD/bin:$PATH" "$VMFERRY" convert --force disk.vmdk copy.raw
# It ends before we are connected. strace makes the moment longer.
expect 1 'disk.vmdk: open with QEMU: qemu-nbd: no such option' env PATH="$PWD/bin:$PATH" \
  strace -f -qq -o strace.txt -e trace=connect -e inject=connect:delay_enter=300000 \
  "$VMFERRY" convert --force disk.vmdk copy.raw
grep -q 'connect.*DELAYED' strace.txt || fail "strace delayed nothing: $(cat strace.txt)"
fake 'exit 7'
expect 1 'qemu-nbd ended \(exit status 7\)' env PATH="$PWD/bin:$PATH" "$VMFERRY" convert --force disk.vmdk copy.raw
if [[ $(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, 0, 0, 1))') -ge 1 ]]; then
  # With Landlock it can neither read nor write anything else.
  fake "cat '$PWD/disk.raw' >/dev/null; echo >'$PWD/written'; cat /etc/shadow"
  expect 1 'Permission denied' env PATH="$PWD/bin:$PATH" "$VMFERRY" convert --force disk.vmdk copy.raw
  [[ ! -e written ]] || fail "it wrote a file"
fi
no_sockets
no_leftovers
