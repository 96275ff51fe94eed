# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The lab's two libvirt hosts. A part of tools/lab.
#
# A host is a libvirtd that has its own mounts and its own host name: its /run, /etc/libvirt and so on are directories
# of the lab. The network, all other files, and the processes it shares with the machine. Who sees a host's directory
# as /run is on that host, and so one of ours: that is how its guests are found when they have to end.

readonly HOSTS=(hosta hostb)
readonly HOST_PROGRAMS=(qemu-system-x86_64 qemu-img swtpm swtpm_setup swtpm_ioctl) # that libvirtd looks for
readonly HOST_PORTS=16                                                             # for guests that move in
# What is private to a host, and the directory of ours for it.
readonly -A HOST_DIRS=([run]=/run [etc]=/etc/libvirt [lib]=/var/lib/libvirt [log]=/var/log/libvirt
    [cache]=/var/cache/libvirt)
readonly SECRET_USAGE="client.libvirt of the lab"

host_socket() {
    echo "$dir/$1/run/libvirt/libvirt-sock"
}

host_uri() {
    echo "qemu:///system?socket=$(host_socket "$1")"
}

on_host() {
    limit 120 virsh --quiet -c "$(host_uri "$1")" "${@:2}"
}

# A socket's path has room for 107 bytes, and libvirt has another below it. What a host hides, it cannot use either.
check_hosts_possible() {
    local socket hidden
    need libvirtd virsh "${HOST_PROGRAMS[@]}" unshare mount hostname flock setsid
    ((EUID == 0)) || die "not root, which the libvirt hosts need (Ceph alone does not: tools/lab up ceph)"
    socket=$(host_socket hosta)-admin
    ((${#socket} <= 107)) || die "the name of $dir is too long for the libvirt hosts by $((${#socket} - 107)) bytes"
    for hidden in "${HOST_DIRS[@]}" /var/run; do
        [[ $dir/ != "$hidden"/* ]] || die "a host sees its own $hidden, and so no lab in $dir"
    done
}

# ---- its processes -------------------------------------------------------------------------------------------------

# Prints the pids of all that runs on host $1: libvirtd, its helpers, guests.
host_processes() {
    local process
    for process in /proc/[1-9]*; do
        [[ ! $process/root/run -ef $dir/$1/run ]] || echo "${process#/proc/}"
    done
}

no_process_on() {
    local try
    for ((try = 0; try < $2; try++)); do
        [[ -n $(host_processes "$1") ]] || return 0
        sleep 0.1
    done
    return 1
}

# Guests get a moment to give back what they hold on Ceph; one that hangs, because Ceph does, gets no more than that.
stop_hosts() {
    local host signal pids
    for host in "${HOSTS[@]}"; do
        [[ -d $dir/$host/run ]] || continue
        stop_daemon "$host"
        for signal in TERM KILL; do
            mapfile -t pids < <(host_processes "$host")
            ((${#pids[@]} == 0)) || kill "-$signal" "${pids[@]}" 2>/dev/null || true
            ! no_process_on "$host" 50 || continue 2
        done
        die "cannot stop the guests of $host, processes: $(host_processes "$host" | tr '\n' ' ')"
    done
}

host_answers() {
    daemon_pid "$1" >/dev/null && limit "$PATIENCE" virsh --quiet -c "$(host_uri "$1")" version >/dev/null 2>&1
}

hosts_answer() {
    local host
    for host in "${HOSTS[@]}"; do
        host_answers "$host" || return 1
    done
}

hosts_status() {
    local host guests
    for host in "${HOSTS[@]}"; do
        [[ -d $dir/$host ]] || continue
        host_answers "$host" || die "$host does not answer (start it: tools/lab up)"
        guests=$(on_host "$host" list --name | sed '/^$/d' | wc -l)
        echo "$host: $(host_uri "$host"), $guests guests run"
    done
}

# ---- up ------------------------------------------------------------------------------------------------------------

# What Debian's libvirt-daemon-system would bring along, with services that no lab should start: a user whom libvirtd
# wants to know, and the directories that a host covers with its own. Another lab may do the same at this moment.
prepare_machine() {
    getent group libvirt || groupadd --system libvirt || getent group libvirt
    getent passwd libvirt-qemu || useradd --system --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin --user-group libvirt-qemu || getent passwd libvirt-qemu
    mkdir -p -- "${HOST_DIRS[@]}"
}

# libvirtd tries out every emulator that it finds, and those for other processors take it half a minute. (All of them are
# in /usr/bin; what else it needs is not, or is here, too.)
choose_programs() {
    local program
    mkdir -p -- "$dir/bin"
    for program in "${HOST_PROGRAMS[@]}"; do
        ln -sf -- "$(command -v "$program")" "$dir/bin"
    done
}

# A host that was there keeps its identity, its definitions and its guests; only its libvirtd is a new process.
# stdio_handler: QEMU itself writes a guest's serial log, so that no virtlogd is needed.
# /etc/hosts: a guest moves to the other host by that one's name.
write_host_conf() {
    local host=$1 number=$2 first
    [[ ! -f $dir/$host/etc/qemu.conf ]] || return 0
    mkdir -p -- "$dir/$host"/{run/lock,etc,lib,log,cache}
    printf '127.0.0.1 localhost hosta hostb\n' >"$dir/$host/hosts"
    first=$((port + CEPH_PORTS + number * HOST_PORTS))
    cat >"$dir/$host/etc/libvirtd.conf" <<END
# Written by tools/lab.
host_uuid = "$(</proc/sys/kernel/random/uuid)"
auth_unix_ro = "none"
auth_unix_rw = "none"
END
    cat >"$dir/$host/etc/qemu.conf" <<END
# Written by tools/lab.
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
migration_port_min = $first
migration_port_max = $((first + HOST_PORTS - 1))
END
}

# Runs on the host: $1 is its name, $2 its directory. All mounts vanish with the last process that sees them.
# shellcheck disable=SC2016
readonly HOST_MAIN='
    set -e
    hostname "$1"
    for pair in "${@:3}"; do
        mount --no-mtab --bind -- "$2/${pair%%=*}" "${pair#*=}"
    done
    mount --no-mtab --bind -- "$2/hosts" /etc/hosts
    PATH=${2%/*}/bin:/usr/sbin exec libvirtd --config "$2/etc/libvirtd.conf" --pid-file "$2/run/libvirtd.pid"'

start_host() {
    local host=$1 name pairs=()
    for name in "${!HOST_DIRS[@]}"; do
        pairs+=("$name=${HOST_DIRS[$name]}")
    done
    launch "$host" unshare --mount --uts --propagation private bash -c "$HOST_MAIN" lab "$host" "$dir/$host" "${pairs[@]}"
}

wait_for_host() {
    local deadline=$((SECONDS + PATIENCE))
    while ((SECONDS < deadline)); do
        ! host_answers "$1" || return 0
        daemon_pid "$1" >/dev/null || return 1
        sleep 0.1
    done
    return 1
}

up_hosts() {
    local number host
    step "preparing the machine for libvirt"
    logged prepare_machine
    choose_programs
    port=$(<"$dir/port")
    for number in 0 1; do
        host=${HOSTS[$number]}
        step "starting $host" "$host"
        ! host_answers "$host" || continue
        stop_daemon "$host"
        write_host_conf "$host" "$number"
        start_host "$host"
    done
    for host in "${HOSTS[@]}"; do
        step "waiting for $host" "$host"
        wait_for_host "$host"
    done
}

# ---- secrets -------------------------------------------------------------------------------------------------------

# The key goes through a pipe and a file that only we can read: arguments are for all to see.
define_secrets() {
    local host uuid file=$dir/secret
    [[ -s $dir/secret.uuid ]] || cat /proc/sys/kernel/random/uuid >"$dir/secret.uuid"
    uuid=$(<"$dir/secret.uuid")
    (umask 077 && ceph_cli auth get-key client.libvirt >"$file.key")
    printf '<secret ephemeral="no" private="no"><uuid>%s</uuid><usage type="ceph"><name>%s</name></usage></secret>\n' \
        "$uuid" "$SECRET_USAGE" >"$file.xml"
    for host in "${HOSTS[@]}"; do
        on_host "$host" secret-define "$file.xml" >/dev/null
        on_host "$host" secret-set-value "$uuid" --file "$file.key" >/dev/null
    done
    rm -f -- "$file.key" "$file.xml"
    echo "$uuid"
}
