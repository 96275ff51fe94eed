# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Guests: real Debian machines on the lab's hosts. A part of tools/lab.
#
# To boot one takes an emulated processor half a minute. So that happens once; then its memory is saved beside its disk,
# and each new guest gets a copy of the disk and goes on from there.

readonly GUEST_DISKS=(thin thick qcow2)
readonly CMDLINE="root=LABEL=root console=ttyS0 loglevel=4 panic=1 systemd.show_status=false 8250.nr_uarts=1 \
no_timer_check cryptomgr.notests mitigations=off"
readonly BOOT_PATIENCE=600 # seconds; 30 on a machine that has nothing else to do
readonly TEMPLATE=template
images=$root/build/images # made once, for all labs of this tree

guest_dir() {
    echo "$dir/guests/$1"
}

serial_log() {
    echo "$(guest_dir "$1")/serial.log"
}

check_guest_name() {
    [[ ${1-} =~ ^[A-Za-z0-9][A-Za-z0-9._-]{0,49}$ ]] || die "a guest needs a name of letters, digits, '.', '_' and '-'"
    [[ $1 != "$TEMPLATE" ]] || die "'$1' is the guest from which the others are made"
}

# Prints the host on which guest $1 is: where it runs, otherwise where it is defined.
host_of_guest() {
    local host found=
    for host in "${HOSTS[@]}"; do
        case $(on_host "$host" domstate "$1" 2>/dev/null) in
            '') ;;
            running | paused | 'in shutdown') found=$host && break ;;
            *) found=${found:-$host} ;;
        esac
    done
    [[ -n $found ]] || die "neither host knows a guest '$1'"
    echo "$found"
}

# ---- its definition ------------------------------------------------------------------------------------------------

# The drive for a cdrom is always there, as none can be added to a running guest. Both hosts append to one log.
guest_xml() {
    local name=$1 format=$2 disk=$3
    cat <<END
<domain type='qemu'>
  <name>$name</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$images/guest-vmlinuz</kernel>
    <initrd>$images/guest-initrd</initrd>
    <cmdline>$CMDLINE</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <clock offset='utc'/>
  <devices>
    <emulator>$root/tools/lab.d/qemu</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='$format'/>
      <source file='$disk'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <disk type='file' device='cdrom'>
      <target dev='hda' bus='ide'/>
      <readonly/>
    </disk>
    <serial type='file'><source path='$(serial_log "$name")' append='on'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
END
}

define_guest() {
    guest_xml "$@" >"$(guest_dir "$1")/domain.xml"
    on_host hosta define "$(guest_dir "$1")/domain.xml" >/dev/null
}

# ---- the first one -------------------------------------------------------------------------------------------------

# What it was made from: the definition here, and that disk.
template_recipe() {
    sha256sum <"$root/tools/lab.d/guest.sh"
    stat -c %y -- "$images/debian-sparse.raw"
}

template_is_made() {
    [[ -f $images/guest.raw && -f $images/guest.state && $(cat -- "$images/guest.recipe") == "$(template_recipe)" ]]
}

extract_kernel() {
    local name partition="$images/debian-sparse.raw?offset=$((1 << 20))"
    for name in vmlinuz initrd.img; do
        debugfs -R "ls -p /boot" "$partition" 2>/dev/null | grep -o "/$name-[^/]*" | tail -n 1 >"$dir/guests/name"
        debugfs -R "dump /boot$(<"$dir/guests/name") $images/guest-${name%.img}" "$partition" 2>/dev/null
        [[ -s $images/guest-${name%.img} ]] || die "found no $name in the guest's /boot"
    done
    rm -f -- "$dir/guests/name"
}

agent_answers() {
    on_host "$1" qemu-agent-command "$2" '{"execute":"guest-ping"}' >/dev/null 2>&1
}

# Nothing comes from such a guest any more.
refuse_crashed_kernel() {
    ! grep -aE 'BUG: unable to handle|Kernel panic|exited with irqs disabled' "$(serial_log "$1")" >/dev/null ||
        die "the kernel of $1 crashed; its log: $(serial_log "$1")"
}

wait_for_agent() {
    local deadline=$((SECONDS + BOOT_PATIENCE))
    until agent_answers "$1" "$2"; do
        refuse_crashed_kernel "$2"
        ((SECONDS < deadline)) || die "the agent of $2 does not answer; the end of its log: $(tail -n 3 "$(serial_log "$2")")"
        sleep 0.5
    done
}

# Memory that holds nothing need not be saved, hence drop_caches.
make_template() {
    local at
    at=$(guest_dir "$TEMPLATE")
    echo "lab: booting a guest for the first time (about a minute)" >&2
    drop_template
    rm -f -- "$images"/guest.*
    mkdir -p -- "$at"
    extract_kernel
    cp --sparse=always -- "$images/debian-sparse.raw" "$at/vda.raw"
    define_guest "$TEMPLATE" raw "$at/vda.raw"
    on_host hosta start "$TEMPLATE" >/dev/null
    wait_for_agent hosta "$TEMPLATE"
    lab_guest_wait "$TEMPLATE"
    "$root/tools/lab.d/guest-run" "$(host_uri hosta)" "$TEMPLATE" /bin/sh -c 'sync; echo 3 >/proc/sys/vm/drop_caches'
    on_host hosta save "$TEMPLATE" "$at/state" >/dev/null
    mv -T -- "$at/vda.raw" "$images/guest.raw"
    mv -T -- "$at/state" "$images/guest.state"
    template_recipe >"$images/guest.recipe"
    drop_template
}

drop_template() {
    on_host hosta destroy "$TEMPLATE" >/dev/null 2>&1 || true
    on_host hosta undefine --managed-save "$TEMPLATE" >/dev/null 2>&1 || true
    rm -rf -- "$(guest_dir "$TEMPLATE")"
}

# One lab makes it, others that want it wait.
need_template() {
    need debugfs python3
    mkdir -p -- "$images" "$dir/guests"
    exec 8>"$images/.guest-lock"
    flock -w 600 8 || die "another tools/lab has been making the guest for too long"
    "$root/tools/make-image" --dir "$images" debian-sparse.raw >&2 8>&-
    template_is_made || make_template 8>&-
    exec 8>&-
}

# ---- up ------------------------------------------------------------------------------------------------------------

make_disk() {
    local kind=$1 at=$2
    case $kind in
        thin) cp --sparse=always -- "$images/guest.raw" "$at/vda.raw" ;;
        thick) cp --sparse=never --reflink=never -- "$images/guest.raw" "$at/vda.raw" ;;
        qcow2)
            cp --sparse=always -- "$images/guest.raw" "$at/vda-base.raw"
            qemu-img create -q -f qcow2 -F raw -b vda-base.raw "$at/vda.qcow2"
            ;;
    esac
}

# A file system with something in it; the guest, once it has noticed the disk, has it mounted.
# shellcheck disable=SC2016 # the guest expands it
add_second_disk() {
    local name=$1 at=$2
    mkdir -- "$at/tree"
    head -c 16M /dev/urandom >"$at/tree/random"
    (cd -- "$at/tree" && sha256sum random >SHA256SUMS)
    truncate -s 256M -- "$at/vdb.raw"
    mke2fs -q -F -t ext4 -L second -E lazy_itable_init=0,lazy_journal_init=0 -d "$at/tree" -- "$at/vdb.raw"
    rm -rf -- "$at/tree"
    on_host hosta attach-disk "$name" "$at/vdb.raw" vdb --driver qemu --subdriver raw --live --config >/dev/null
    "$root/tools/lab.d/guest-run" "$(host_uri hosta)" "$name" /bin/sh -c '
        for try in $(seq 100); do [ -b /dev/vdb ] && break; sleep 0.2; done
        mkdir -p /mnt/second && mount /dev/vdb /mnt/second'
}

add_cdrom() {
    head -c 1M /dev/urandom >"$2/cdrom.iso"
    on_host hosta change-media "$1" hda "$2/cdrom.iso" --insert --live --config >/dev/null
}

lab_guest_up() {
    local name=${1-} disk=thin second=0 cdrom=0 at format=raw
    check_guest_name "$name"
    shift
    while (($# > 0)); do
        case $1 in
            --disk)
                disk=${2-}
                [[ " ${GUEST_DISKS[*]} " == *" $disk "* ]] || die "--disk is one of: ${GUEST_DISKS[*]}"
                shift
                ;;
            --second-disk) second=1 ;;
            --cdrom) cdrom=1 ;;
            *) die "what is '$1'? See tools/lab --help" ;;
        esac
        shift
    done
    at=$(guest_dir "$name")
    [[ ! -e $at ]] || die "there is a guest '$name' already"
    need_template
    mkdir -- "$at"
    make_disk "$disk" "$at"
    [[ $disk != qcow2 ]] || format=qcow2
    define_guest "$name" "$format" "$(echo "$at"/vda.*)"
    on_host hosta dumpxml --inactive "$name" >"$at/defined.xml"
    "$root/tools/lab.d/saved-state" "$images/guest.state" "$at/defined.xml" "$at/state"
    on_host hosta restore "$at/state" >/dev/null
    rm -f -- "$at/state" "$at/defined.xml"
    wait_for_agent hosta "$name"
    ((second == 0)) || add_second_disk "$name" "$at"
    ((cdrom == 0)) || add_cdrom "$name" "$at"
    lab_guest_wait "$name"
    echo "lab: guest $name runs on hosta; its serial log: $(serial_log "$name")"
}

# ---- the other commands --------------------------------------------------------------------------------------------

last_beat() {
    grep -a -o '^beat [0-9]*' "$(serial_log "$1")" 2>/dev/null | tail -n 1
}

# Waits for a heartbeat that was not there when it was called.
lab_guest_wait() {
    local name=${1-} before deadline=$((SECONDS + BOOT_PATIENCE))
    [[ -d $(guest_dir "$name") ]] || die "there is no guest '$name'"
    before=$(last_beat "$name") || true
    while [[ $(last_beat "$name" || true) == "$before" ]]; do
        refuse_crashed_kernel "$name"
        ((SECONDS < deadline)) || die "$name gives no sign of life; the end of its log: $(tail -n 3 "$(serial_log "$name")")"
        sleep 0.1
    done
}

lab_guest_run() {
    local name=${1-} host
    check_guest_name "$name"
    (($# > 1)) || die "run what in $name?"
    host=$(host_of_guest "$name")
    wait_for_agent "$host" "$name" # a migration interrupts it
    exec "$root/tools/lab.d/guest-run" "$(host_uri "$host")" "$@"
}

# Wherever it went, and whatever became of its definition. Volumes on Ceph stay.
lab_guest_down() {
    local name=${1-} host
    check_guest_name "$name"
    for host in "${HOSTS[@]}"; do
        on_host "$host" destroy "$name" >/dev/null 2>&1 || true
        on_host "$host" undefine --managed-save --snapshots-metadata --checkpoints-metadata "$name" >/dev/null 2>&1 || true
        ! on_host "$host" dominfo "$name" >/dev/null 2>&1 || die "cannot remove $name from $host"
    done
    rm -rf --one-file-system -- "$(guest_dir "$name")"
}

lab_guest() {
    local command=${1-}
    [[ $command =~ ^(up|wait|run|down)$ ]] || die "a guest can go up and down, wait, and run something; see tools/lab --help"
    must_be_up
    hosts_answer || die "the hosts are not up in $dir (start them: tools/lab up)"
    "lab_guest_$command" "${@:2}"
}
