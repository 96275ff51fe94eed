# SPDX-License-Identifier: LGPL-2.1-or-later
# Killed in the steps of a move from one pool to another, under a running guest: it has its data, on the old volume or on the new one, and the other one is gone.
source "$ROOT/tests/lab/recover_helpers.sh"

make_pool mg-quick
mkdir overlays
rbd create --size 64M rbd/mg-rp-old
rbd bench --io-type write --io-size 64K --io-total 24M rbd/mg-rp-old >/dev/null
machine mg-rp "$(volume_disk rbd/mg-rp-old vda)"
on_a start mg-rp

# has N: the guest reads what it wrote before move N, and as it was killed.
has() {
  local at
  for at in 1 50; do
    ! guest_io "$VMFERRY_LAB_HOSTA" 0 "read -P $1 ${at}M 64k" | grep -i "fail" || fail "the guest has lost what it wrote at $at MiB"
  done
}

old=rbd/mg-rp-old
for step in 2 3 5 8; do
  new=mg-quick/mg-rp-$step
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $step 1M 64k" >/dev/null
  kill_in "$step" --disk "vda=rbd:$new" --overlay-dir "$PWD/overlays" --delete-source --rate-limit 20M
  guest_io "$VMFERRY_LAB_HOSTA" 0 "write -P $step 50M 64k" >/dev/null
  [[ ! -f $state/$guest.json ]] || recover || fail "no recovery after step $step: $(cat recovered)"
  is=$(disks "$VMFERRY_LAB_HOSTA")
  [[ $is == "$(disks "$VMFERRY_LAB_HOSTA" --inactive)" ]] || fail "the definitions differ: $is"
  case ${is#vda network } in
    "$new") gone=$old old=$new ;;
    "$old") gone=$new ;;
    *) fail "it is on $is" ;;
  esac
  echo "$SECONDS s: killed in step $step, it is on $old"
  has "$step"
  ! rbd info "$gone" >/dev/null 2>&1 || fail "$gone is left"
  no_journal
  [[ -z $(ls overlays) ]] || fail "overlays are left: $(ls overlays)"
done
[[ $(on_a domstate mg-rp) == running ]] || fail "it does not run"
# What is stored is what it wrote.
on_a destroy mg-rp
on_a start mg-rp
has 8
