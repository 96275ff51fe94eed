# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD servers that answer with less than was asked for, fall silent or go away; Ctrl-C meanwhile; and a sum of what may change.
# shellcheck source=tests/nbd-server
source "$ROOT/tests/nbd-server"
truncate -s 12M disk.raw
for offset in 0 4 8; do
  head -c 1M /dev/urandom | dd of=disk.raw bs=1M seek=$offset conv=notrunc status=none
done

# misbehave SOCKET WAY
misbehave() {
  start_server "$1" "$ROOT/tests/cli/bad_nbd_server" "$1" disk.raw "$2"
}

# What is not sent is no data of the disk. One reader: of several, which one fails first is chance.
for way in nothing half; do
  misbehave $way.sock $way
  expect 1 'socket=.*: read at 0: the server.s answer has not the bytes that were asked for' ferry convert -f raw -j 1 "$(at_socket $way.sock)" out.raw
  [[ ! -e out.raw ]] || fail "$way: it was copied"
done

# The message names the place, and what helps.
misbehave mute.sock mute=8388608
expect 1 'socket=mute.sock: read at 8 MiB.*: the server does not answer' ferry convert -f raw -j 1 --stall-timeout 1 "$(at_socket mute.sock)" out.raw
expect 1 'hint: .*--stall-timeout SECONDS lets a copy wait longer' ferry convert -f raw -j 1 --stall-timeout 1 "$(at_socket mute.sock)" out.raw
# Who is gone has not answered.
misbehave gone.sock gone=1
expect 1 'socket=gone.sock: read at .*: (the server closed the connection|.*[Bb]roken pipe|.*reset)' \
  ferry convert -f raw -j 1 "$(at_socket gone.sock)" out.raw
no_leftovers

# interrupted COMMAND...: Ctrl-C ends it while it waits for a server.
interrupted() {
  local status=0 began pid
  "$VMFERRY" "$@" >said 2>&1 &
  pid=$!
  sleep 0.5
  began=${EPOCHREALTIME//[!0-9]/}
  kill -INT "$pid"
  wait "$pid" || status=$?
  [[ $status == 130 ]] || fail "status $status of $*: $(cat said)"
  ((${EPOCHREALTIME//[!0-9]/} - began < 700000)) || fail "it took long to end $*"
  no_leftovers
}
interrupted convert -f raw -j 1 "$(at_socket mute.sock)" out.raw
interrupted convert -f raw "$(at_socket mute.sock)" out.raw
interrupted compare -f raw "$(at_socket mute.sock)" disk.raw
serve asked.sock --filter=delay memory 1T delay-extents=300ms
interrupted convert -f raw "$(at_socket asked.sock)" out.raw
interrupted map -f raw "$(at_socket asked.sock)"
misbehave connecting.sock mute
stopped=$server
kill -STOP "$stopped"
interrupted convert "$(at_socket connecting.sock)" out.raw
interrupted info "$(at_socket connecting.sock)"
kill -CONT "$stopped"

# What was summed up is what is copied, though nobody tells that it was changed.
cp disk.raw before.raw
mkdir tmp
serve file.sock file disk.raw
sum=sha256:$(sha256sum disk.raw | cut -d' ' -f1)
"$VMFERRY" convert -q -f raw -j 1 --rate-limit 2M --tmp tmp --checksum "$sum" "$(at_socket file.sock)" out.raw >said 2>&1 &
run=$!
until_true 10 test -s .out.raw.vmferry-partial
head -c 1M /dev/urandom | dd of=disk.raw bs=1M seek=8 conv=notrunc status=none
wait "$run" || fail "$(cat said)"
same out.raw before.raw
expect 1 "check its checksum: it is sha256:.*, not the one given" ferry convert --force -f raw --tmp tmp --checksum "$sum" "$(at_socket file.sock)" out.raw
