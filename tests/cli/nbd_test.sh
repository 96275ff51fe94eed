# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD exports as sources: what is read over what kind of server, and what is said when one fails.
# shellcheck source=tests/nbd-server
source "$ROOT/tests/nbd-server"
make_disk disk.raw
truncate -s %512 disk.raw # qemu-nbd serves sectors

# copies LOCATION [FILE [OPTION...]]: it is a copy of FILE (disk.raw).
copies() {
  rm -f copy.raw
  ferry convert -q "${@:3}" "$1" copy.raw || fail "not copied: $1"
  same copy.raw "${2-disk.raw}"
}

serve file.sock file disk.raw
file=$(at_socket file.sock)
copies "$file"
(($(allocated copy.raw) <= $(allocated disk.raw))) || fail "the copy takes $(allocated copy.raw) bytes"
qemu-img compare -q -f raw -F raw copy.raw "nbd+unix:///?socket=file.sock"
nbdcopy "$file" nbdcopy.raw
same copy.raw nbdcopy.raw
expect 0 "verified by reading it back" ferry convert --force --verify "$file" copy.raw
expect 0 "the images are the same" ferry compare "$file" copy.raw
printf X | dd of=copy.raw bs=1 seek=2000000 conv=notrunc status=none
expect 1 "differ, first at byte 2000000" ferry compare copy.raw "$file"
expect 0 "^  virtual size .*\($(stat -c %s disk.raw) bytes\)" ferry info "$file"
expect 0 '"zero": *true' ferry map --json "$file"
ferry sparsify -q --force "$file" copy.raw
same copy.raw disk.raw
expect 1 "cannot give back space" ferry sparsify --in-place "$file"
expect 1 "cannot give back space" ferry sparsify --in-place nbd://127.0.0.1:1/nobody # which is told before anybody is asked
end_server "$server"

# With qemu-nbd: over several connections, a qcow2 image that it reads, and one that it only serves.
serve_image qemu.sock --read-only --format raw disk.raw
copies "$(at_socket qemu.sock)"
qemu-img convert -f raw -O qcow2 -c disk.raw disk.qcow2
serve_image guest.sock --read-only --format qcow2 --export-name a/b disk.qcow2
copies "$(at_socket guest.sock a/b)"
copies "$(at_socket guest.sock a%2Fb)"
expect 1 "nbd\+unix:///c\?socket=guest.sock: connect: .*'c'" ferry info "$(at_socket guest.sock c)"
serve_image bytes.sock --read-only --format raw disk.qcow2
copies "$(at_socket bytes.sock)"
expect 0 "^  format  *qcow2, " ferry info "$(at_socket bytes.sock)"

# Over TCP, and a host that nobody serves.
port=$((20000 + RANDOM % 10000))
nbdkit --foreground --exit-with-parent --ipaddr 127.0.0.1 --port "$port" file disk.raw 2>>servers.log &
servers+=($!)
until_true 10 nbdinfo "nbd://127.0.0.1:$port/"
copies "nbd://localhost:$port/"
copies "nbd://127.0.0.1:$port"
expect 1 "^vmferry: nbd://127.0.0.1:1/x: connect: .*Connection refused" ferry info nbd://127.0.0.1:1/x
expect 1 "connect: .*No such file" ferry info "$(at_socket none.sock)"
expect 2 "would not be encrypted" ferry info nbd://alice@localhost/
expect 1 "connect: " ferry info "nbds://localhost:$port/?tls-verify-peer=0"

# Servers that tell nothing of extents, allow one connection, want whole blocks, or small requests.
serve plain.sock --filter=noextents file disk.raw
copies "$(at_socket plain.sock)"
serve single.sock --filter=multi-conn file disk.raw multi-conn-mode=disable
copies "$(at_socket single.sock)"
serve sectors.sock --filter=blocksize-policy file disk.raw blocksize-error-policy=error blocksize-minimum=512 blocksize-maximum=64K
copies "$(at_socket sectors.sock)"
truncate -s 20M large.raw
dd if=disk.raw of=large.raw conv=notrunc,sparse status=none bs=64k
serve blocks.sock --filter=blocksize-policy file large.raw blocksize-error-policy=error blocksize-minimum=64K \
  blocksize-preferred=64K blocksize-maximum=64K
copies "$(at_socket blocks.sock)" large.raw
qemu-img convert -f raw -O qcow2 -o cluster_size=512 disk.raw small.qcow2
truncate -s %64K small.qcow2
serve within.sock --filter=blocksize-policy file small.qcow2 blocksize-error-policy=error blocksize-minimum=64K \
  blocksize-preferred=64K blocksize-maximum=64K
copies "$(at_socket within.sock)" # a format reads what it likes
serve odd.sock --filter=blocksize-policy file disk.raw blocksize-minimum=64K blocksize-preferred=64K
expect 1 "open: its size, .* is not a multiple of the server's smallest block, 64 KiB" ferry info "$(at_socket odd.sock)"
truncate -s 0 empty.raw
serve empty.sock file empty.raw
copies "$(at_socket empty.sock)" empty.raw
serve once.sock --filter=exitlast file disk.raw
copies "$(at_socket once.sock)"

# Of a server that is far away much is read at once.
serve far.sock --filter=log --filter=delay file large.raw rdelay=5ms logfile=far.log
copies "$(at_socket far.sock)" large.raw
grep -Eq ' Read .* count=0x200000\b' far.log || fail "small reads: $(grep Read far.log)"
expect 0 "the images are the same" ferry compare -f raw "$(at_socket far.sock)" large.raw

# A hole that is not said to be zero is read. Answers are short, odd, beyond what was asked for, or none.
cat >holes.sh <<'END'
case $1 in
  open) echo ;;
  get_size) echo 3M ;;
  pread) dd if=/dev/zero bs="$3" count=1 status=none | tr '\0' A ;;
  can_extents) exit 0 ;;
  extents) eval "$(cat answer)" ;;
  *) exit 2 ;;
esac
END
chmod +x holes.sh
head -c 3M /dev/zero | tr '\0' A >a.raw
: >answer
serve holes.sock sh ./holes.sh
# shellcheck disable=SC2016 # the server's own
for answer in 'echo "$4 $3 hole"' 'echo "$4 1000 hole"; echo "$(($4 + 1000)) $3"' 'echo "$4 64K"' 'echo "0 100M hole"' 'exit 1'; do
  echo "$answer" >answer
  copies "$(at_socket holes.sock)" a.raw
done
# What it says is zero is.
# shellcheck disable=SC2016
echo 'echo "$4 $3 hole,zero"' >answer
ferry convert -q --force "$(at_socket holes.sock)" copy.raw
cmp -n 3M copy.raw /dev/zero || fail "zeros were read"

# Errors name the byte, and nothing is left behind.
serve error.sock --filter=error file disk.raw error-pread=EIO error-pread-rate=100% error-file="$PWD/inject"
copies "$(at_socket error.sock)"
touch inject
expect 1 'socket=error.sock: read at .*: the server answers: Input/output error' ferry convert -f raw --force "$(at_socket error.sock)" copy.raw
expect 2 'read at .*: the server answers' ferry compare -f raw "$(at_socket error.sock)" disk.raw
same copy.raw disk.raw # the one before
no_leftovers
serve asked.sock --filter=error file disk.raw error-extents=EIO error-extents-rate=100%
copies "$(at_socket asked.sock)"

# A server that is killed in the middle, and one that hangs.
serve slow.sock --filter=delay file disk.raw rdelay=200ms
slow=$server
: >said
ferry convert --progress json -j 1 "$(at_socket slow.sock)" killed.raw >said 2>&1 &
run=$!
until_true 10 grep -Eq '"written_bytes":[1-9]' said
kill_server "$slow"
wait "$run" && fail "a server that was killed"
grep -Eq 'socket=slow.sock: read at [1-9].*: (the server closed the connection|.*reset)' said || fail "said: $(cat said)"
[[ ! -e killed.raw ]] || fail "half a copy has its name"
serve hangs.sock --filter=delay file disk.raw rdelay=60
expect 1 'read at [0-9].*: the server does not answer' ferry convert -f raw --stall-timeout 1 "$(at_socket hangs.sock)" killed.raw
python3 -c 'import socket, time
s = socket.socket(socket.AF_UNIX); s.bind("mute.sock"); s.listen(); time.sleep(60)' &
servers+=($!)
until_true 10 listens mute.sock
expect 1 'connect: the server does not answer' ferry convert --stall-timeout 1 "$(at_socket mute.sock)" killed.raw
no_leftovers

# A server that accepts no second connection, though it says that it would.
start_server two.sock qemu-nbd --read-only --persistent --shared 2 --format raw --socket "$PWD/two.sock" disk.raw
copies "$(at_socket two.sock)"
