# SPDX-License-Identifier: LGPL-2.1-or-later
# Streams: "-" as source and target, compressed raw disks, and the target that keeps nothing.
make_disk disk.raw # has zeros, holes, and an odd size
dd if=/dev/urandom of=dense.raw bs=1M count=9 status=none
printf x >one.raw
truncate -s 8M blocks.raw
printf begin | dd of=blocks.raw conv=notrunc status=none

piped() { # SOURCE ARGUMENT...
  local source=$1
  shift
  # shellcheck disable=SC2002 # a pipe is what is tested
  cat "$source" | ferry "$@"
}

# ---- Raw, of any size, to a sparse file.
for disk in disk dense one blocks; do
  piped $disk.raw convert -q - out.raw
  same $disk.raw out.raw
  expect 0 '^$' ferry compare -q $disk.raw out.raw
  piped $disk.raw convert -q --verify --size "$(stat -c %s $disk.raw)" --force - out.raw
  same $disk.raw out.raw
  (($(allocated out.raw) <= $(allocated $disk.raw))) || fail "$disk: $(allocated out.raw) bytes allocated"
  ferry convert -q --force -j 1 - out.raw <$disk.raw # a file as standard input
  same $disk.raw out.raw
  rm out.raw
done
(
  head -c 5000000 dense.raw
  sleep 0.3
  tail -c +5000001 dense.raw
) | ferry convert -q - out.raw # in pieces
same dense.raw out.raw
rm out.raw
no_leftovers

# A device: written in place, and not beyond its end.
loop=''
detach() {
  [[ -z $loop ]] || losetup -d "$loop"
  ! mountpoint -q small || umount small
}
trap 'finish detach' EXIT
truncate -s 12M device
loop=$(losetup -f --show device)
dd if=/dev/urandom of="$loop" bs=1M count=12 status=none
piped blocks.raw convert -q --force --verify - "$loop"
cmp -n 8388608 blocks.raw "$loop" || fail "not on the device"
expect 1 "write at 12 MiB: the device ends here, and the image goes on" piped disk.raw convert --force - "$loop"

# ---- The digest and the report are those of the file.
digest=$(ferry convert --digest disk.raw out.raw | sed -n 's/^digest: //p')
expect 0 "^digest: $digest$" piped disk.raw convert --digest --force - out.raw
expect 0 '"verified":true,"verified_by":"reading","digest":"'"$digest" piped disk.raw convert --verify --json --digest --force - out.raw
piped disk.raw convert -q --report report.json --force - out.raw
expect 0 '"source": "-"' cat report.json
expect 0 "\"digest\": \"$digest\"" cat report.json
rm out.raw

# ---- A size that was told has to be true; an empty stream is that of a command that failed.
expect 1 "standard input: read at 20000001: it ends here, and should have 20000002" piped disk.raw convert --size 20000002 - out.raw
expect 1 "standard input: read at 20000000: it goes on here, and should have 20000000" piped disk.raw convert --size 20000000 - out.raw
expect 1 "standard input: read: there is not one byte in it" piped /dev/null convert - out.raw
without_input() { ferry "$@" <&-; }
expect 1 "standard input: read at 0: Bad file descriptor" without_input convert - out.raw
expect 2 "--size is for what is read in order; this disk has 20000001" ferry convert --size 20M disk.raw out.raw
[[ ! -e out.raw ]] || fail "a target in spite of an error"
no_leftovers

# ---- Compressed, on standard input and as files of any name, also in several members.
number=0
for packer in "gzip -1" "xz -0" "zstd -q -1 --long=27" "bzip2 -1"; do
  packed=packed.$((++number))
  $packer -c <disk.raw >$packed
  ferry convert -q $packed out.raw
  same disk.raw out.raw
  piped $packed convert -q --verify --size 20000001 --force - out.raw
  same disk.raw out.raw
  expect 1 "$packed: read at 20000001: it ends here, and should have 20 MiB" ferry convert --force --size 20M $packed out.raw
  # Two of them are one disk.
  { $packer -c <blocks.raw && $packer -c <one.raw; } >two
  cat blocks.raw one.raw >both.raw
  ferry convert -q --force two out.raw
  same both.raw out.raw
  rm out.raw

  # Cut, damaged, followed by something: an error, and no target.
  size=$(stat -c %s $packed)
  for length in $((size - 1)) $((size / 2)) 30; do
    head -c $length $packed >short
    expect 1 "^vmferry: short: (unpack \([a-z0-9]*\) at [0-9]+|open)" ferry convert short out.raw
  done
  cp $packed damaged
  printf 'XYZ' | dd of=damaged bs=1 seek=$((size * 2 / 3)) conv=notrunc status=none
  expect 1 "^vmferry: damaged: unpack \([a-z0-9]*\) at [0-9]+" ferry convert damaged out.raw
  expect 1 "^vmferry: standard input: unpack" piped damaged convert - out.raw
  { cat $packed && printf x; } >followed
  expect 1 "^vmferry: followed: unpack \([a-z0-9]*\) at [0-9.]+( [KM]iB)?: " ferry convert followed out.raw
  [[ ! -e out.raw ]] || fail "$packer: a target in spite of an error"
done
no_leftovers
: | gzip >nothing
expect 1 "nothing: read: there is not one byte in it" ferry convert nothing out.raw
: | bzip2 >nothing
expect 1 "nothing: unpack \(bzip2\) at 14: not one byte can be unpacked" ferry convert nothing out.raw
# The checksum alone.
cp packed.1 damaged
printf '\x55' | dd of=damaged bs=1 seek=$(($(stat -c %s damaged) - 8)) conv=notrunc status=none
expect 1 "damaged: unpack \(gzip\) at [0-9]+: incorrect data check" ferry convert damaged out.raw

# A sparse copy, a dry run; what wants to read here and there is refused.
expect 0 "of zeros skipped" ferry convert packed.3 out.raw
expect 0 "saved" ferry sparsify --force packed.3 out.raw
same disk.raw out.raw
expect 0 "would save" piped disk.raw sparsify --dry-run - out.raw
for command in info map "sparsify --in-place"; do
  # shellcheck disable=SC2086 # words
  expect 1 "it is a zstd file, which can only be read in order" ferry $command packed.3
done
for command in info map; do
  expect 2 "standard input: open: it can be read once, from its beginning" piped disk.raw "$command" -
done
expect 1 "^vmferry: -: sparsify in place: such a place cannot give back space$" piped disk.raw sparsify --in-place -
expect 2 "standard input: open: it can be read once" piped disk.raw compare - disk.raw
expect 2 "standard input: open: it can be read once" piped disk.raw compare disk.raw -
expect 2 "a copy of what is read in order cannot be resumed" piped disk.raw convert --resume - new.raw
expect 2 "what is read in order cannot be trimmed" ferry convert --trim packed.3 new.raw
expect 2 "shares no blocks" ferry convert --reflink always packed.3 new.raw
expect 2 "only qcow2 images have snapshots" piped disk.raw convert --snapshot a - new.raw

# ---- A container in a stream is not a disk.
qemu-img convert -O qcow2 disk.raw disk.qcow2 # which ends with a whole sector
cp disk.raw sectors.raw
truncate -s %512 sectors.raw
qemu-img convert -O vpc -o subformat=fixed,force_size=on blocks.raw fixed.vhd
gzip -k disk.qcow2
gzip -c disk.raw | zstd -q >twice.zst
expect 1 "standard input: open: what comes is a qcow2 file, which cannot be read in order" piped disk.qcow2 convert - new.raw
expect 1 "disk.qcow2.gz: open: what is compressed in it is a qcow2 file" ferry convert disk.qcow2.gz new.raw
expect 1 "what is compressed in it is a gzip file" ferry convert twice.zst new.raw
expect 1 "standard input: open: what comes is a VHD file" piped fixed.vhd convert - new.raw # its mark is at its end
expect 2 "a qcow2 file cannot be read in order" piped disk.qcow2 convert -f qcow2 - new.raw
[[ ! -e new.raw ]] || fail "a container was copied"
for file in disk.qcow2 disk.qcow2.gz fixed.vhd; do
  piped $file convert -q -f raw - new.raw # meant as it is
  same $file new.raw
  rm new.raw
done
ferry convert -q -f raw packed.1 new.raw
same packed.1 new.raw
rm new.raw

# ---- To standard output: the disk, and nothing else.
for disk in disk dense one blocks; do
  ferry convert -q $disk.raw - >out.raw
  same $disk.raw out.raw
  ferry convert $disk.raw - 2>said | cmp - $disk.raw || fail "$disk: other bytes"
  grep -q "^standard output: .* of data" said || fail "$(cat said)"
done
ferry convert --digest --progress json -j 64 disk.qcow2 - 2>said | cmp - sectors.raw
expect 0 "^digest: $(ferry convert --digest sectors.raw null: | sed -n 's/^digest: //p')$" cat said
expect 0 '"phase":"convert"' cat said
qemu-img create -q -f qcow2 -o cluster_size=2M wide.qcow2 300M
qemu-io -c 'write -q -P 7 3M 1M' -c 'write -q -P 8 299M 1M' wide.qcow2
qemu-img convert -O raw wide.qcow2 wide.raw
ferry convert -q -j 64 wide.qcow2 - | cmp - wide.raw
ferry convert -q packed.2 - | cmp - disk.raw # a filter
piped packed.1 convert -q --rate-limit 100M - - | cmp - disk.raw
truncate -s 0 empty.raw
[[ $(ferry convert -q empty.raw - | wc -c) == 0 ]] || fail "bytes of an empty disk"

to_reader() { ferry "$@" | cat >/dev/null; } # its status is that of the first: pipefail
refused() {                                  # PATTERN ARGUMENT...
  expect 2 "$1" to_reader "${@:2}"
}
refused "takes the disk, so --json cannot write there" convert --json disk.raw -
refused "standard output: open as a target: nothing of it can be read back to verify it" convert --verify disk.raw -
refused "such a copy cannot be resumed" convert --resume disk.raw -
refused "only a file can share the blocks" convert --reflink always disk.raw -
refused "is not an RBD volume" convert --object-size 4M disk.raw -
expect 2 "standard output: open as a target: it is a terminal" script -qec "'$VMFERRY' convert disk.raw -" /dev/null
expect 2 "standard input: open: it is a terminal" script -qec "'$VMFERRY' convert - new.raw" /dev/null
onto_source() { ferry convert disk.raw - 1<>disk.raw; }
without_output() { ferry "$@" >&-; }
to_full() { ferry "$@" >/dev/full; }
expect 1 "it is the source" onto_source
expect 1 "standard output: write at 0: Bad file descriptor" without_output convert disk.raw -
expect 1 "standard output: write at [0-9]+: No space left" to_full convert disk.raw -

# Who reads it ends early, or is not there: an error names the byte.
status=0
"$VMFERRY" convert dense.raw - 2>said | head -c 3000000 >begin || status=${PIPESTATUS[0]}
cmp -n 3000000 begin dense.raw
[[ $status == 1 ]] || fail "status $status: $(cat said)"
expect 0 "standard output: write at [0-9.]+( [KM]iB)?: Broken pipe" cat said

# Who reads is slow, or has stopped reading: the bytes are right, and a signal is heard. Other programs share what we write to, so
# it stays as it is. A pipe of another user cannot be opened anew.
chmod 755 .
python3 - "$VMFERRY" <<'END'
import os, signal, socket, subprocess, sys, time

def ends(kind):
    if kind == "socket":
        return [each.detach() for each in socket.socketpair()]
    return os.pipe()

def begin(kind):
    ours, theirs = ends(kind)
    user = 65534 if kind == "pipe of another" else None
    run = subprocess.Popen([sys.argv[1], "convert", "dense.raw", "-"], stdout=theirs, stderr=subprocess.PIPE, user=user, group=user)
    return run, os.fdopen(ours, "rb"), theirs

with open("dense.raw", "rb") as file:
    dense = file.read()
for kind in ("pipe", "pipe of another", "socket"):
    run, ours, theirs = begin(kind)
    got = ours.read(3000000)
    time.sleep(0.3)
    assert os.get_blocking(theirs), kind
    os.close(theirs)
    got += ours.read()
    assert run.wait() == 0 and got == dense, (kind, len(got), run.stderr.read())
    ours.close()

    run, ours, theirs = begin(kind)
    assert ours.read(3000000) == dense[:3000000]
    time.sleep(0.3)  # what has room for more bytes is full again
    began = time.monotonic()
    run.send_signal(signal.SIGTERM)
    status = run.wait(5)
    took = time.monotonic() - began
    said = run.stderr.read()
    assert (status, said) == (128 + signal.SIGTERM, b"vmferry: interrupted\n"), (kind, status, said)
    assert took < 1, (kind, took)
    ours.close()
    os.close(theirs)
END

# ---- A full disk, a signal: nothing is left, and the end does not wait for who is silent.
mkdir small
mount -t tmpfs -o size=4m none small
expect 1 "small/out.raw: write at .*No space left" piped dense.raw convert - small/out.raw
[[ -z $(ls -A small) ]] || fail "left behind: $(ls -A small)"
mkfifo silent
for signal in INT TERM; do
  "$VMFERRY" convert - new.raw <silent 2>said &
  run=$!
  exec 7>silent
  head -c 6000000 dense.raw >&7
  until_true 10 test -e .new.raw.vmferry-partial
  began=$(date +%s%N)
  kill -$signal $run
  status=0
  wait $run || status=$?
  (($(date +%s%N) - began < 1500000000)) || fail "SIG$signal took too long"
  exec 7>&-
  ((status > 128)) || fail "status $status after SIG$signal: $(cat said)"
  [[ ! -e new.raw ]] || fail "half a disk has its name"
  no_leftovers
done

# ---- The target that keeps nothing: reads all, never needs --force.
expect 0 "^null: [0-9.]+ MiB of data" ferry convert disk.raw null:
expect 0 "^digest: $digest$" ferry convert --digest disk.raw null:
expect 0 "^digest: $digest$" piped packed.3 convert --digest - null:
expect 2 "null: open as a target: nothing of it can be read back" ferry convert --verify disk.raw null:
expect 2 "it keeps nothing that could be read" ferry convert null: new.raw
printf x >./-
ferry convert -q ./- new.raw # a file of that name
same one.raw new.raw
no_leftovers
