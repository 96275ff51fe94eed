# SPDX-License-Identifier: LGPL-2.1-or-later
# Limits on the size of files, on memory and on threads: it works within them, or says which one is reached.
((EUID == 0)) || fail "needs root to be a user who owns no other process"
chmod 777 .
make_disk disk.raw

# Files. SIGXFSZ is an error of the write; a size that is too large is refused before the first byte.
for target in out.raw /dev/shm/vmferry-limit.$$; do
  expect 1 "^vmferry: $target: set the size to 20000001 bytes: File too large" \
    prlimit --fsize=1048576 "$VMFERRY" convert disk.raw "$target"
  expect 1 "^hint: see the limit on the size of files \(ulimit -f" prlimit --fsize=1048576 "$VMFERRY" convert disk.raw "$target"
  [[ ! -e $target ]] || fail "a target in spite of the limit"
done
no_leftovers
help_to_file() { prlimit --fsize=100 "$VMFERRY" --help >help; }
expect 1 "^vmferry: standard output: write: File too large" help_to_file

# Memory, as importers limit it (prlimit --as=1073741824), with as many jobs as a large machine has processors.
qemu-img convert -c -O qcow2 -o cluster_size=2M disk.raw packed.qcow2
for limit in 1073741824 536870912; do
  for jobs in 1 64; do
    prlimit --as=$limit "$VMFERRY" convert -q --verify -j $jobs packed.qcow2 out.raw
    prlimit --as=$limit "$VMFERRY" compare -q --ignore-trailing-zeros -j $jobs disk.raw out.raw
    rm out.raw
  done
done
# With less it may fail, and says why; a program that does not even start says nothing of ours.
for limit in 300000000 220000000 180000000 150000000; do
  status=0
  prlimit --as=$limit "$VMFERRY" convert -q -j 64 packed.qcow2 out.raw 2>said.txt || status=$?
  no_leftovers
  if [[ $status == 0 ]]; then
    cmp -n 20000001 disk.raw out.raw || fail "other bytes with $limit"
    rm out.raw
  elif ! grep -q 'error while loading shared libraries' said.txt; then
    [[ $status == 1 ]] || fail "status $status with $limit: $(cat said.txt)"
    grep -Eq 'out of memory|Cannot allocate memory|start a thread' said.txt || fail "with $limit: $(cat said.txt)"
  fi
done

# Threads: ulimit -u, TasksMax= of a service, pids.max of a container.
for threads in 1 2 3 9; do
  for command in "convert -q --verify -j 64 --progress json disk.raw thin.raw" "compare -q -j 64 --progress json disk.raw disk.raw" \
    "info disk.raw" "sparsify --dry-run -j 64 disk.raw"; do
    status=0
    # shellcheck disable=SC2086 # words
    setpriv --reuid 65509 --regid 65509 --clear-groups prlimit --nproc=$threads "$VMFERRY" $command >/dev/null 2>said.txt || status=$?
    no_leftovers
    if ((threads == 1)); then
      [[ $status == 1 || $status == 2 ]] || fail "status $status without a thread: $command"
      grep -q '^vmferry: cannot start a thread: ' said.txt || fail "$command says: $(cat said.txt)"
      grep -q '^hint: a limit is reached: on processes and threads (ulimit -u' said.txt || fail "$command says: $(cat said.txt)"
    else
      [[ $status == 0 ]] || fail "status $status with $threads threads: $command: $(cat said.txt)"
    fi
    [[ ! -e thin.raw ]] || same disk.raw thin.raw
    rm -f thin.raw
  done
done
