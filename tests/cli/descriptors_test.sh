# SPDX-License-Identifier: LGPL-2.1-or-later
# Descriptors 0 to 2 that are closed, full, broken or slow: no message gets into an image, no result is lost unnoticed.
make_disk disk.raw
cp disk.raw other.raw

# Closed. The next file that is opened would be the image.
closings=('>&- 2>&-' '<&- >&- 2>&-' '<&-' '2>&-' '>&-')
for closed in "${closings[@]}"; do
  status=0
  eval 'ferry convert --progress json disk.raw out.raw' "$closed" >terminal 2>&1 || status=$?
  same disk.raw out.raw
  [[ $closed == *'>&-'* && $closed != '2>&-' ]] && wanted=1 || wanted=0 # the report had nowhere to go
  [[ $status == "$wanted" ]] || fail "status $status with $closed"
  rm out.raw
  cp --reflink=never --sparse=never disk.raw place.raw
  eval 'ferry sparsify --in-place --progress json place.raw' "$closed" >terminal 2>&1 || true
  same disk.raw place.raw
  eval 'ferry convert -q disk.raw out.raw' "$closed" || fail "nothing to say, but status $? with $closed"
  same disk.raw out.raw
  rm out.raw
done
without_output() { ferry "$@" >&-; }
without_input() { ferry "$@" <&-; }
expect 1 "^hint: the target is complete; only this report is missing" without_output convert disk.raw out.raw
same disk.raw out.raw
expect 1 "standard input: read: Bad file descriptor" without_input rewrite --pool vms

# Full: each command that prints says so.
to_full() { ferry "$@" >/dev/full; }
prints() { # STATUS ARGUMENT...
  expect "$1" "standard output: write: No space left on device" to_full "${@:2}"
}
rm out.raw
prints 1 convert disk.raw out.raw
same disk.raw out.raw
prints 1 convert --force --json disk.raw out.raw
same disk.raw out.raw
prints 2 compare disk.raw other.raw
prints 2 compare --json disk.raw other.raw
prints 1 info disk.raw
prints 1 info --json disk.raw
prints 1 map disk.raw
prints 1 map --json disk.raw
prints 1 map --view picture disk.raw
prints 1 sparsify --dry-run other.raw
prints 1 sparsify --in-place --json other.raw
prints 1 rewrite "$ROOT/xml/aarch64.xml" --pool vms
prints 1 rewrite "$ROOT/xml/aarch64.xml" --pool vms --json
prints 1 --help
prints 1 --version
prints 1 convert --help
expect 1 "the image is sparsified; only" to_full sparsify --in-place other.raw
same disk.raw other.raw

# Broken, blocked, non-blocking. A reader of messages that is gone or asleep neither ends a run nor keeps it from ending.
cat >pipes.py <<'END'
import fcntl, os, signal, subprocess, sys, time

ferry = sys.argv[1]

def broken():
    read, write = os.pipe()
    os.close(read)
    return write

def full():
    read, write = os.pipe()
    os.set_blocking(write, False)
    for piece in (4096, 1):
        try:
            while True:
                os.write(write, b"x" * piece)
        except BlockingIOError:
            pass
    os.set_blocking(write, True)
    return read, write

def run(*arguments, **where):
    return subprocess.run([ferry, *arguments], **where)

done = run("convert", "disk.raw", "a.raw", stdout=broken(), stderr=subprocess.PIPE)
assert done.returncode == 1 and b"standard output: write: Broken pipe" in done.stderr, done
assert b"the target is complete" in done.stderr, done
done = run("convert", "--progress", "json", "disk.raw", "b.raw", stdout=subprocess.PIPE, stderr=broken())
assert done.returncode == 0 and b"of data" in done.stdout, done
assert run("convert", "--progress", "json", "disk.raw", "c.raw", stdout=broken(), stderr=broken()).returncode == 1

# A pipe that another program made non-blocking, with a slow reader, gets all of a long result.
with open("many.raw", "wb") as disk:
    for block in range(3000):
        disk.seek(block * 8192)
        disk.write(b"data" * 1024)
want = run("map", "--json", "many.raw", stdout=subprocess.PIPE).stdout
assert len(want) > 200000
read, write = os.pipe()
os.set_blocking(write, False)
ferry_map = subprocess.Popen([ferry, "map", "--json", "many.raw"], stdout=write)
os.close(write)
got = b""
while piece := os.read(read, 4096):
    got += piece
    time.sleep(0.0005)
assert ferry_map.wait() == 0 and got == want, len(got)

# Nobody reads the progress: the signal is taken all the same.
read, write = full()
slow = subprocess.Popen([ferry, "convert", "--rate-limit", "100K", "--progress", "json", "disk.raw", "d.raw"], stderr=write)
for _ in range(200):
    if os.path.exists(".d.raw.vmferry-partial"):
        break
    time.sleep(0.05)
time.sleep(0.5)  # some pictures were not drawn
slow.send_signal(signal.SIGTERM)
end = time.monotonic() + 20
while slow.poll() is None and time.monotonic() < end:
    time.sleep(0.05)
if slow.poll() is None:
    slow.kill()
assert slow.returncode == 143, slow.returncode
END
python3 pipes.py "$VMFERRY"
for copy in a b c; do same disk.raw $copy.raw; done
no_leftovers
