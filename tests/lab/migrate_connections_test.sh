# SPDX-License-Identifier: LGPL-2.1-or-later
# How often a move connects to the cluster.
source "$ROOT/tests/lab/guest_helpers.sh"

faults=${VMFERRY%/*}/libvmferry-faults.so
head -c 4M /dev/urandom >a.raw
head -c 4M /dev/urandom >b.raw

# connects TIMES OPTION...: a move of a machine with two disks.
connects() {
  local wanted=$1 times
  shift
  machine mg-cn "$(file_disk "$work/a.raw" vda) $(file_disk "$work/b.raw" vdb)"
  [[ $* == *offline* ]] || on_a start mg-cn >/dev/null
  rm -f log
  LD_PRELOAD=$faults VMFERRY_FAULT_LOG=$PWD/log move -q "$@" >out 2>said || fail "$*: $(cat said)"
  times=$(sed -n 's/^called rados_connect \([0-9]*\).*/\1/p' log)
  [[ $times == "$wanted" ]] || fail "${times:-no} connections, not $wanted: $*"
  on_rbd "$VMFERRY_LAB_HOSTA" vda vdb
  machines_down >/dev/null
}

# One for all that ask, two for the checks, which want to see that a connection can be made, and two for each volume: who writes
# under a claim has one of its own, when it clears up and when it writes. While the guest runs it is asked once more for each
# volume whether it can be reached, just before the guest depends on it.
connects 7 --mode offline
connects 9 --method staged
connects 9 --method mirror
