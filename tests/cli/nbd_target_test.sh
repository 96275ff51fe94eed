# SPDX-License-Identifier: LGPL-2.1-or-later
# NBD exports as targets: written in place, like devices.
# shellcheck source=tests/nbd-server
source "$ROOT/tests/nbd-server"
make_disk disk.raw
size=$(stat -c %s disk.raw)

# fresh: back.raw is what an export held before.
fresh() {
  head -c 24M /dev/urandom >before.raw
  cp before.raw back.raw
}
# written LOCATION [OPTION...]: it holds the copy, and beyond it what was there.
written() {
  ferry convert -q --force --verify "${@:2}" disk.raw "$1" || fail "not copied: $1"
  cmp -n "$size" disk.raw back.raw || fail "back.raw holds something else"
  tail -c +$((size + 1)) before.raw | cmp - <(tail -c +$((size + 1)) back.raw) || fail "the end was touched"
}

fresh
serve file.sock file back.raw
file=$(at_socket file.sock)
expect 1 "is an NBD export, and all that is on it would be overwritten" ferry convert disk.raw "$file"
expect 2 "cannot be resumed" ferry convert --force --resume disk.raw "$file"
expect 2 "only a file can share" ferry convert --force --reflink always disk.raw "$file"
expect 1 "it is the source" ferry convert --force "$file" "$file"
same back.raw before.raw
written "$file"
(($(allocated back.raw) < 16000000)) || fail "zeros take up $(allocated back.raw) bytes"
truncate -s 40M large.raw
expect 1 "the export has 24 MiB, the image needs 40 MiB" ferry convert --force large.raw "$file"
expect 1 "the sizes differ" ferry compare disk.raw "$file"

# A stream, whose size shows at its end: what was there is no zero.
fresh
ferry convert -q --force --verify - "$file" <disk.raw
cmp -n "$size" disk.raw back.raw || fail "back.raw holds something else"
expect 1 "write at 24 MiB: the export ends here" ferry convert --force - "$file" <large.raw

# Zeros are written as such, fast where that is offered, with data where there is nothing else, and not at all where all is zero.
# zeros NAME PATTERN OPTION...: what the server was asked for.
zeros() {
  local name=$1 wanted=$2
  shift 2
  fresh
  : >"$name.log"
  serve "$name.sock" --filter=log "$@" logfile="$name.log"
  written "$(at_socket "$name.sock")"
  grep -Eq "$wanted" "$name.log" || fail "$name: no $wanted: $(cat "$name.log")"
}
zeros fast 'Zero .*trim=1 fua=0 fast=1 ' --filter=nozero file back.raw zeromode=plugin fastzeromode=ignore
! grep -q 'Zero .*fast=0 ' fast.log || fail "slow zeros where there are fast ones"
zeros slow 'Zero .*trim=1 fua=0 fast=0 ' --filter=nozero file back.raw zeromode=plugin fastzeromode=slow
grep -q 'Zero .*fast=1 ' slow.log || fail "fast zeros were not tried"
zeros none 'Zero .*trim=1 fua=0 fast=0 ' file back.raw
zeros data 'Write .*count=0x100000' --filter=nozero file back.raw
! grep -q 'Zero' data.log || fail "zeros where there are none"
: >memory.log
serve memory.sock --filter=log memory 24M logfile=memory.log
ferry convert -q --force disk.raw "$(at_socket memory.sock)"
! grep -q 'Zero' memory.log || fail "zeros over zeros: $(cat memory.log)"
grep -q 'Flush' memory.log || fail "not flushed"
nbdcopy "$(at_socket memory.sock)" memory.raw
cmp -n "$size" memory.raw disk.raw

# Blocks of the server are written whole, with what was there.
fresh
serve blocks.sock --filter=blocksize-policy file back.raw blocksize-error-policy=error blocksize-minimum=64K \
  blocksize-preferred=64K blocksize-maximum=128K
written "$(at_socket blocks.sock)"
fresh
serve blocks-nozero.sock --filter=blocksize-policy --filter=nozero file back.raw blocksize-error-policy=error \
  blocksize-minimum=4K blocksize-preferred=4K blocksize-maximum=64K
written "$(at_socket blocks-nozero.sock)"
qemu-img convert -f raw -O qcow2 -o cluster_size=512 disk.raw small.qcow2
fresh
serve blocks-odd.sock --filter=blocksize-policy file back.raw blocksize-error-policy=error blocksize-minimum=64K \
  blocksize-preferred=64K blocksize-maximum=64K
ferry convert -q --force --verify small.qcow2 "$(at_socket blocks-odd.sock)"
cmp -n "$size" disk.raw back.raw

# Over one connection; with qemu-nbd; from one export to another.
fresh
serve single.sock --filter=multi-conn file back.raw multi-conn-mode=disable
written "$(at_socket single.sock)"
qemu-img create -q -f qcow2 back.qcow2 24M
serve_image qemu.sock --format qcow2 back.qcow2
ferry convert -q --force --verify disk.raw "$(at_socket qemu.sock)"
ferry sparsify -q --force --verify "$(at_socket single.sock)" "$(at_socket qemu.sock)"
nbdcopy "$(at_socket qemu.sock)" copy.raw
same copy.raw back.raw
end_server "$server"
qemu-img check -q back.qcow2

# A server that cannot flush is told of, one that keeps nothing is found out, one that is only read is refused.
cat >plain.sh <<'END'
case $1 in
  open) echo ;;
  get_size) echo 24M ;;
  pread) dd if=kept.raw bs=1M skip="$4"B count="$3"B iflag=fullblock status=none ;;
  can_write) exit 0 ;;
  pwrite) if [ -e keep ]; then dd of=kept.raw bs=1M seek="$4"B conv=notrunc iflag=fullblock status=none; else cat >/dev/null; fi ;;
  *) exit 2 ;;
esac
END
chmod +x plain.sh
truncate -s 24M kept.raw
touch keep
serve plain.sock sh ./plain.sh
expect 0 "socket=plain.sock: the server has no way to flush" ferry convert --force --verify disk.raw "$(at_socket plain.sock)"
cmp -n "$size" kept.raw disk.raw
rm keep
truncate -s 0 kept.raw
truncate -s 24M kept.raw
expect 1 "verify at 0: reads back differently" ferry convert --force --verify disk.raw "$(at_socket plain.sock)"
serve read-only.sock --readonly file back.raw
expect 1 "the server lets nobody write to this export" ferry convert --force disk.raw "$(at_socket read-only.sock)"

# Errors name the byte.
fresh
serve error.sock --filter=error file back.raw error-pwrite=ENOSPC error-pwrite-rate=100%
expect 1 "write at .*: the server answers: No space left on device" ferry convert --force disk.raw "$(at_socket error.sock)"
expect 1 "hint: free some space where the server" ferry convert --force disk.raw "$(at_socket error.sock)"
serve error-zero.sock --filter=error file back.raw error-zero=EIO error-zero-rate=100%
expect 1 "write zeros at .*: the server answers: Input/output error" ferry convert --force disk.raw "$(at_socket error-zero.sock)"
serve slow.sock --filter=delay file back.raw wdelay=200ms
ferry convert --progress json -j 1 --force disk.raw "$(at_socket slow.sock)" >said 2>&1 &
run=$!
until_true 10 grep -Eq '"written_bytes":[1-9]' said
kill_server "$server"
wait "$run" && fail "a server that was killed"
grep -Eq 'socket=slow.sock: (write|write zeros) at .*: (the server closed the connection|.*reset|.*pipe)' said || fail "said: $(cat said)"
serve hangs.sock --filter=delay file back.raw wdelay=60
expect 1 'at .*: the server does not answer' ferry convert --force --stall-timeout 1 disk.raw "$(at_socket hangs.sock)"
