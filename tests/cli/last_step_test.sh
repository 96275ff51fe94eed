# SPDX-License-Identifier: LGPL-2.1-or-later
# What would keep a copy from getting its name is found out before the first byte; errors name what is wrong.
make_disk disk.raw
work=$PWD

# refused PATTERN COMMAND...: with that message, and nothing was written before.
refused() {
  local pattern=$1 status=0 said
  shift
  said=$(strace -f -qq -o strace.txt -e trace=pwrite64 "$@" 2>&1) || status=$?
  [[ $status == 1 ]] || fail "status $status: $* said: $said"
  grep -Eq -- "$pattern" <<<"$said" || fail "no '$pattern' in what $* said: $said"
  ! grep -q pwrite64 strace.txt || fail "$*: written before it was refused"
}

# Links: followed, also where they lead to nothing yet; the link stays.
mkdir store
for force in "" --force; do
  rm -f store/*
  ln -sf store/a.raw link.raw
  ln -sf link.raw twice.raw
  # shellcheck disable=SC2086 # none or one word
  ferry convert -q $force disk.raw twice.raw
  [[ -L twice.raw && -L link.raw ]] || fail "a link was replaced"
  same disk.raw store/a.raw
done
ln -s self self
expect 1 "self: open as a target: Too many levels" ferry convert disk.raw self
expect 1 "Too many levels" ferry convert --force disk.raw self

# Other reasons than "it exists".
long=$(printf 'n%.0s' $(seq 300))
expect 1 "File name too long" ferry convert disk.raw "$long"
expect 1 "Not a directory" ferry convert disk.raw disk.raw/x.raw
expect 1 "its directory does not exist" ferry convert disk.raw store/none/x.raw
expect 1 "there is no such device" ferry convert disk.raw /dev/vmferry-no-such-disk
expect 1 "there is no such device" ferry convert disk.raw /dev/vmferry-no-such-group/disk
[[ ! -e /dev/vmferry-no-such-disk ]] || fail "a file in /dev"

# Two long names that begin alike are two targets, and no character is cut.
long=$(printf 'ü%.0s' $(seq 115))
"$VMFERRY" convert -q --rate-limit 4M disk.raw "${long}1" &
one=$!
until_true 10 compgen -G ".*partial"
find . -name '*partial' | iconv -f UTF-8 -t UTF-16 >/dev/null || fail "the temporary name is cut within a character"
ferry convert -q disk.raw "${long}2"
wait "$one"
same disk.raw "${long}1"
same disk.raw "${long}2"

# A file system that can neither rename without replacing, nor link.
for code in EPERM EOPNOTSUPP; do
  strace -f -qq -o strace.txt -e trace=renameat2,link,linkat,pwrite64 -e inject=renameat2:error=EINVAL \
    -e inject=link,linkat:error=$code "$VMFERRY" convert disk.raw simple.raw 2>said.txt && fail "$code: copied"
  grep -q "neither rename without replacing, nor link" said.txt || fail "$code: $(cat said.txt)"
  ! grep -q pwrite64 strace.txt || fail "$code: written before it was refused"
done
strace -f -qq -o strace.txt -e trace=renameat2,link,linkat -e inject=renameat2:error=EINVAL \
  -e inject=link,linkat:error=EPERM "$VMFERRY" convert -q --force disk.raw simple.raw
same disk.raw simple.raw
rm simple.raw
strace -f -qq -o strace.txt -e trace=renameat2 -e inject=renameat2:error=EINVAL "$VMFERRY" convert -q disk.raw linked.raw
same disk.raw linked.raw

# The answer to the rename is lost: the name tells.
strace -f -qq -o strace.txt -e trace=renameat2 -e inject=renameat2:error=EEXIST:when=2 "$VMFERRY" convert disk.raw kept.raw 2>said.txt &&
  fail "a taken name was not noticed"
grep -q "meanwhile" said.txt || fail "said: $(cat said.txt)"
no_leftovers

# The directory cannot be flushed: the target is complete, and the message says so.
strace -f -qq -o strace.txt -P "$work" -e trace=fsync -e inject=fsync:error=EIO "$VMFERRY" convert disk.raw "$work/durable.raw" 2>said.txt &&
  fail "done, though not durable"
grep -q "complete under its name" said.txt || fail "said: $(cat said.txt)"
same disk.raw durable.raw

# Nor is anything kept then that could be gone on with. Without -f strace sees the thread that gives the name, not the one that
# makes the checkpoints.
rm durable.raw
head -c 24M /dev/urandom >dense.raw
strace -qq -o strace.txt -P "$work" -e trace=fsync -e inject=fsync:error=EIO "$VMFERRY" convert -j 1 --reflink never \
  --checkpoint-every 0.05 --rate-limit 16M dense.raw "$work/durable.raw" 2>said.txt &
pid=$!
until_true 10 grep -Eqs 'blocks.*[0-9a-f]{30}' .durable.raw.vmferry-partial.notes
! wait "$pid" || fail "done, though not durable"
grep -q "complete under its name" said.txt || fail "said: $(cat said.txt)"
! grep "is kept" said.txt || fail "nothing is kept"
rm dense.raw durable.raw

# Names of unfinished copies are nobody's targets.
expect 2 "such names are for unfinished copies" ferry convert disk.raw .x.raw.vmferry-partial

# The temporary file is taken away: nothing of somebody else's is published or removed.
"$VMFERRY" convert -q --rate-limit 2M disk.raw stolen.raw 2>said.txt &
pid=$!
until_true 10 test -e .stolen.raw.vmferry-partial
sleep 0.2
rm .stolen.raw.vmferry-partial
echo mine >.stolen.raw.vmferry-partial
! wait "$pid" || fail "published somebody else's file"
grep -q "its temporary file .* was removed or replaced" said.txt || fail "said: $(cat said.txt)"
[[ $(cat .stolen.raw.vmferry-partial) == mine && ! -e stolen.raw ]] || fail "another's file was touched"
rm .stolen.raw.vmferry-partial

# A run that was killed between link() and unlink() left a second name of its target, which stays as it is.
cp disk.raw linked2.raw
ln linked2.raw .linked2.raw.vmferry-partial
head -c 1M /dev/urandom >small.raw
"$VMFERRY" convert -q --force --rate-limit 512K small.raw linked2.raw &
pid=$!
sleep 0.5
same disk.raw linked2.raw
kill -KILL "$pid"
wait "$pid" || true
same disk.raw linked2.raw
ferry convert -q --force small.raw linked2.raw
same small.raw linked2.raw
no_leftovers

# --force: what is to be replaced is looked at again when the copy is complete.
change_target() { # MESSAGE COMMAND...
  local message=$1 pid
  shift
  echo old >target.raw
  "$VMFERRY" convert -q --force --rate-limit 2M disk.raw target.raw 2>said.txt &
  pid=$!
  until_true 10 test -e .target.raw.vmferry-partial
  sleep 0.1
  "$@"
  ! wait "$pid" || fail "replaced in spite of: $*"
  grep -Eq "target.raw: replace: meanwhile: .*$message" said.txt || fail "after $*: $(cat said.txt)"
  no_leftovers
}
other_file() {
  echo other >new
  mv new target.raw
}
change_target "something wrote to it|it had" tee -a target.raw <<<more >/dev/null
[[ $(head -n 1 target.raw) == old ]] || fail "what was there is gone"
change_target "another file took its place" other_file
[[ $(cat target.raw) == other ]] || fail "the other's file is gone"
hold_open() {
  exec 9<>target.raw
}
change_target "has it open for writing" hold_open
exec 9>&-

if ((EUID == 0)); then
  nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups "$VMFERRY")
  chmod 755 "$work"
  # One may write into the directory, not list it.
  mkdir -m 1733 box
  "${nobody[@]}" convert -q disk.raw box/disk.raw
  same disk.raw box/disk.raw
  mkdir -m 700 private
  expect 1 "private/disk.raw: .*Permission denied" "${nobody[@]}" convert disk.raw private/disk.raw
  expect 1 "private/disk.raw: .*Permission denied" "${nobody[@]}" convert --force disk.raw private/disk.raw

  # What the kernel does not let go.
  echo old >real.raw
  touch bound.raw
  mount --bind real.raw bound.raw
  trap 'finish "umount -q $work/bound.raw"' EXIT
  refused "bound.raw: replace: something is mounted on it" "$VMFERRY" convert --force disk.raw bound.raw
  umount bound.raw
  mkdir -m 1777 sticky
  echo old >sticky/others.raw
  chmod 666 sticky/others.raw
  refused "may not take its name away" "${nobody[@]}" convert --force disk.raw sticky/others.raw
  [[ $(cat sticky/others.raw) == old ]] || fail "changed"
  if chattr +i real.raw 2>/dev/null; then # where the file system has such marks
    trap 'finish "chattr -i $work/real.raw"' EXIT
    refused "real.raw: replace: it is marked as immutable" "$VMFERRY" convert --force disk.raw real.raw
    chattr -i real.raw
  fi

  # In place by a member of the group: whether somebody writes to it cannot be asked.
  head -c 8M /dev/zero >group.raw
  chown 0:65534 group.raw
  chmod 660 group.raw
  member=(setpriv --reuid 65533 --regid 65534 --clear-groups "$VMFERRY")
  expect 1 "group.raw: ask who has it open: only its owner.*" "${member[@]}" sparsify --in-place group.raw
  expect 1 "hint: .*--assume-unused" "${member[@]}" sparsify --in-place group.raw
  (($(allocated group.raw) > 8000000)) || fail "changed"
  "${member[@]}" sparsify -q --in-place --assume-unused group.raw
  (($(allocated group.raw) < 1000000)) || fail "not changed"

  # A device that QEMU has open is not overwritten, nor is QEMU let onto one that is being written.
  truncate -s 32M back.img
  loop=$(losetup --find --show back.img)
  clear_device() {
    [[ -z ${holder:-} ]] || kill "$holder"
    losetup -d "$loop"
  }
  trap 'finish clear_device' EXIT
  expect 1 "it is the source" ferry convert --force back.img "$loop"
  expect 1 "it is the source" ferry convert --force "$loop" back.img
  hold_image -f raw "$loop"
  expect 1 "running virtual machine has it open" ferry sparsify --in-place "$loop"
  expect 1 "$loop: lock: a running virtual machine has it open for writing" ferry convert --force disk.raw "$loop"
  kill "$holder"
  wait "$holder" || true
  "$VMFERRY" convert -q --force --rate-limit 2M disk.raw "$loop" &
  pid=$!
  until_true 10 cmp -n 65536 disk.raw "$loop" # it has the locks by then
  expect 1 "Failed to get" qemu-io -f raw -r -c 'read 24M 4k' "$loop"
  wait "$pid"
  head -c 20000001 "$loop" | cmp - disk.raw || fail "the device"
fi
