# SPDX-License-Identifier: LGPL-2.1-or-later
# The completion of command lines in bash: what --help tells, files, and what a cluster and libvirt answer.
mkdir programs
ln -s "$VMFERRY" programs/vmferry
# Names that nobody should run.
printf '#!/bin/sh\n%s\n' "echo rbd; echo 'vms'" >programs/rados
printf '#!/bin/sh\n%s\n' "echo web1; echo 'web2-\$(touch ran)'" >programs/rbd
printf '#!/bin/sh\n%s\n' "echo web1; echo 'db one'; echo '\$(touch ran)'" >programs/virsh
chmod +x programs/*
PATH=$work/programs:$PATH
touch disk.raw domain.xml

# answers LINE WORD...: what is offered at the end of that line.
answers() {
  local said
  said=$(bash -c 'source "$1"; COMP_LINE=$2; COMP_POINT=${#2}; _vmferry vmferry; printf "%s\n" "${COMPREPLY[@]}"' bash \
    "$ROOT/tools/packaging/completion.bash" "$1")
  shift
  [[ $said == "$(printf '%s\n' "$@")" ]] || fail "offered: $said, not $*"
}

answers "vmferry co" convert compare
answers "vmferry --v" --version
answers "vmferry convert --re" --resume --reflink --report
answers "vmferry convert -f " raw qcow2 ova parallels qed vdi vpc vhdx vmdk
answers "vmferry convert --reflink al" always
answers "vmferry rewrite -O " raw qcow2
answers "vmferry migrate -O " raw qcow2
answers "vmferry migrate --mode " auto live offline
answers "vmferry convert --rate-limit " ""
answers "vmferry convert --force d" disk.raw domain.xml
answers "vmferry convert --keyring di" disk.raw
answers "vmferry migrate --to-ceph-conf di" disk.raw
answers "vmferry convert --tmp p" programs
answers "vmferry convert disk.raw rbd:" rbd/ vms/
answers "vmferry info rbd:rbd/web" rbd/web1 'rbd/web2-\$\(touch\ ran\)'
answers "vmferry migrate " web1 'db\ one' '\$\(touch\ ran\)'
answers "vmferry migrate web1 --pool v" vms
answers "vmferry sync " web1 'db\ one' '\$\(touch\ ran\)'
answers "vmferry sync web1 --pool v" vms
answers "vmferry sync --st" --stripe-unit --stripe-count --stop --state-dir
answers "vmferry cutover " web1 'db\ one' '\$\(touch\ ran\)'
answers "vmferry cutover --li" --live --listen-address
answers "vmferry cutover --to" --to
answers "vmferry cutover --sta" --stay --state-dir
answers "vmferry cu" cutover
answers "vmferry reh" rehearse
answers "vmferry rehearse we" web1
answers "vmferry rehearse --scr" --screenshot
answers "vmferry rehearse web1 --screenshot di" disk.raw
answers "vmferry fl" fleet
answers "vmferry fleet pl" plan
answers "vmferry fleet re" resume retry report
answers "vmferry migrate --rate-limit-file di" disk.raw
answers "vmferry fleet plan --way " auto live offline warm
answers "vmferry fleet plan --pool v" vms
answers "vmferry fleet plan --check disk" disk.raw
answers "vmferry nonsense --" ""
# Half of a name that is quoted would become another one.
touch "my disk.raw" "co:lon.raw"
answers 'vmferry convert my\ d' ""
answers 'vmferry convert "my d' ""
answers "vmferry convert co:" "lon.raw"
[[ ! -e ran ]] || fail "a name was run"
grep -qx 'complete -F _vmferry vmferry' "$ROOT/tools/packaging/completion.bash"
