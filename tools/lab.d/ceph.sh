# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# The lab's Ceph: one mon, one osd, one mgr, and the pool "rbd". A part of tools/lab.

readonly BLOCK_SIZE=$((20 << 30))
readonly OSD_MEMORY=$((1536 << 20))
readonly CEPH_PORTS=32 # mon takes 2, osd 8, mgr 2; the rest is slack for osd and mgr
readonly DEBUG_SUBSYSTEMS=(asok auth bdev bluefs bluestore crush crypto finisher heartbeatmap mgr mgrc mon monc ms none
    objclass objecter optracker osd paxos perfcounter prioritycache rados rbd reserver rocksdb striper throttle timer tp)

fsid=
osd_uuid=
mon_addr=

ceph_cli() {
    limit 20 ceph -c "$dir/ceph.conf" --connect-timeout 5 "$@"
}

check_ceph_tools() {
    need ceph ceph-authtool ceph-mgr ceph-mon ceph-osd flock monmaptool rbd setsid
}

# ---- its processes -------------------------------------------------------------------------------------------------

launch_ceph() {
    launch "$1" "ceph-$1" -i "$2" -c "$dir/ceph.conf" -f
}

# The osd wants to tell the mon good-bye.
stop_ceph() {
    local name
    for name in mgr osd mon; do
        stop_daemon "$name"
    done
}

dead_daemons() {
    local name
    for name in mon osd mgr; do
        daemon_pid "$name" >/dev/null || printf ' %s' "$name"
    done
}

# A pool that a test has filled makes Ceph report HEALTH_WARN; the lab is fit for use all the same. So ask for what
# matters: everything runs, mon and osd answer, and there is a mgr.
is_healthy() {
    local report
    [[ -f $dir/ready && -z $(dead_daemons) ]] || return 1
    report=$(ceph_cli -s --format json 2>/dev/null) || return 1
    [[ $report == *'"num_up_osds":1'* && $report == *'"available":true'* ]] || return 1
    ceph_cli tell osd.0 version >/dev/null 2>&1
}

# ---- up: the steps -------------------------------------------------------------------------------------------------

# Below the range from which the kernel takes ports for outgoing connections.
choose_ports() {
    local try hex
    for ((try = 0; try < 200; try++)); do
        port=$((20000 + (RANDOM % 195) * PORTS))
        printf -v hex '|%04X' $(seq "$port" $((port + PORTS - 1)))
        grep -Eqs "^ *[0-9]+: [0-9A-F]+:(${hex#|}) " /proc/net/tcp /proc/net/tcp6 || return 0
    done
    die "found no $PORTS free ports in a row between 20000 and 32500"
}

write_conf() {
    local subsystem
    {
        cat <<END
# Written by tools/lab.
[global]
    fsid = $fsid
    mon host = $mon_addr
    keyring = $dir/keyring
    auth cluster required = cephx
    auth service required = cephx
    auth client required = cephx
    auth allow insecure global id reclaim = false
    public addr = 127.0.0.1
    cluster addr = 127.0.0.1
    ms bind ipv6 = false
    ms bind retry count = 1
    ms bind port min = $((port + 2))
    ms bind port max = $((port + CEPH_PORTS - 1))
    run dir = $dir/run
    crash dir = $dir/crash
    log to file = false
    log to stderr = true
    err to stderr = true
    clog to monitors = false
    osd pool default size = 1
    osd pool default min size = 1
    osd pool default pg num = 8
    osd pool default pg autoscale mode = off
    osd crush chooseleaf type = 0
# A read lease lasts 0.8 of this. A placement group without peers may not get over one that ran out, and a test stops the OSD
# for a while.
    osd heartbeat grace = 120
END
        for subsystem in "${DEBUG_SUBSYSTEMS[@]}"; do
            echo "    debug $subsystem = 0/0"
        done
        write_daemon_conf
    } >"$dir/ceph.conf"
}

# The short periods: a test that fills a pool up to its quota need not wait long for Ceph to notice.
write_daemon_conf() {
    cat <<END
# No daemon answers \`ceph tell\` without a socket. The path of one has room for 107 bytes only, and this directory may be
# deeper than that; so it is relative, and the daemons run here.
[mon]
    admin socket = run/mon.asok
    mon data = $dir/mon
    mon data avail warn = 1
    mon data avail crit = 1
    mon cluster log to file = false
    mon cluster log to stderr = false
    mon allow pool delete = true
    mon allow pool size one = true
    mon warn on pool no redundancy = false
    mon warn on pool no app = false
    mon max pg per osd = 1000
    mon tick interval = 1
    mon mgr digest period = 1
    paxos propose interval = 0.05
    paxos min wait = 0.01
    mgr initial modules =
[mgr]
    admin socket = run/mgr.asok
    mgr data = $dir/mgr
    mgr stats period = 1
    mgr tick period = 1
    mgr disabled modules = $(mgr_modules)
[osd]
    admin socket = run/osd.asok
    osd data = $dir/osd
    osd journal = $dir/osd/journal
    osd objectstore = bluestore
    osd memory target = $OSD_MEMORY
    bluestore block size = $BLOCK_SIZE
    osd client watch timeout = ${VMFERRY_LAB_WATCH:-30}
    mgr stats period = 1
$(class_dir)
END
}

# Debian's Ceph 18 looks for its object classes below the directory it runs in; older ones find them by themselves.
class_dir() {
    local version
    version=$(ceph-osd --version) || return 0
    [[ $version =~ version\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= 18)) || return 0
    echo "    osd class dir = $(dirname -- "$(find /usr/lib -path '*/rados-classes/libcls_rbd.so' -print -quit)")"
}

# RBD, quotas and `ceph df` need no module at all. With all of them the mgr takes 6 s of CPU to start and 300 MB instead
# of 37, and one makes a pool of its own. The price is a health error about their absence, which init_pool mutes.
mgr_modules() {
    find /usr/share/ceph/mgr -mindepth 1 -maxdepth 1 -type d -printf '%f ' 2>/dev/null || true
}

lay_out() {
    step "laying out the directory"
    clear_dir
    mkdir -- "$dir"/{log,run,crash,mon,osd,mgr}
    choose_ports
    fsid=$(</proc/sys/kernel/random/uuid)
    osd_uuid=$(</proc/sys/kernel/random/uuid)
    mon_addr="[v2:127.0.0.1:$port,v1:127.0.0.1:$((port + 1))]"
    echo "$port" >"$dir/port"
    write_conf
}

# What is in the keyring at mkfs time the mon knows from birth: no `ceph auth import` later.
make_mon() {
    step "making the keyring and the mon"
    local keyring=$dir/keyring
    logged ceph-authtool --create-keyring "$keyring" --gen-key -n mon. --cap mon 'allow *'
    logged ceph-authtool "$keyring" --gen-key -n client.admin \
        --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
    logged ceph-authtool "$keyring" --gen-key -n mgr.x \
        --cap mon 'allow profile mgr' --cap osd 'allow *' --cap mds 'allow *'
    logged ceph-authtool "$keyring" --gen-key -n osd.0 \
        --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
    # The user that QEMU is.
    logged ceph-authtool "$keyring" --gen-key -n client.libvirt --cap mon 'profile rbd' --cap osd 'profile rbd'
    logged monmaptool --create --fsid "$fsid" --addv a "$mon_addr" "$dir/monmap"
    logged limit 60 ceph-mon -i a -c "$dir/ceph.conf" --mkfs --monmap "$dir/monmap" --keyring "$keyring"
}

mon_answers() {
    local deadline=$((SECONDS + PATIENCE))
    while ((SECONDS < deadline)); do
        daemon_pid mon >/dev/null || return 1
        if (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null && logged ceph_cli mon stat; then
            # Somebody else may answer on that port (a second lab), while ours is dying of it.
            daemon_pid mon >/dev/null
            return
        fi
        sleep 0.05
    done
    return 1
}

# Between choose_ports and the mon's bind somebody else may take the port. (osd and mgr look for another by themselves.)
start_mon() {
    local try
    for try in 1 2 3 4 5; do
        lay_out
        make_mon
        step "starting the mon (try $try)" mon
        launch_ceph mon a
        ! mon_answers || return 0
        # Ours may be dead before it says why; who answers there is another's.
        grep -qi 'address already in use' "$dir/log/mon.log" || (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null || exit 1
        stop_ceph
    done
    exit 1
}

start_osd() {
    step "making the osd" osd-mkfs
    # exec, so that the pid is that of `timeout`, which passes a TERM on; -f, as even mkfs would detach itself otherwise.
    (cd -- "$dir" && exec timeout -k 2 "$PATIENCE" ceph-osd -f -i 0 -c "$dir/ceph.conf" --mkfs --osd-uuid "$osd_uuid" \
        --monmap "$dir/monmap" --no-mon-config) </dev/null >"$step_log" 2>&1 9<&- &
    helpers=($!)
    logged ceph_cli osd new "$osd_uuid" 0
    logged ceph_cli osd pool create rbd 8
    wait "${helpers[0]}"
    helpers=()
    step "starting the osd" osd
    launch_ceph osd 0
}

start_mgr() {
    step "starting the mgr" mgr
    launch_ceph mgr x
}

init_pool() {
    step "initialising the pool rbd" osd
    logged limit 60 rbd -c "$dir/ceph.conf" pool init rbd
    logged ceph_cli health mute MGR_MODULE_ERROR --sticky
}

# Until the mgr has passed on a first report, `ceph df` is empty and no quota is enforced.
wait_for_stats() {
    local deadline=$((SECONDS + PATIENCE)) dead report
    step "waiting for the mgr's first report" mgr
    while ((SECONDS < deadline)); do
        dead=$(dead_daemons)
        if [[ -n $dead ]]; then
            step "starting$dead, which died" "${dead##* }"
            exit 1
        fi
        report=$(ceph_cli -s --format json 2>>"$dir/log/up.log") || report=
        [[ $report != *'"state_name":"active+clean","count":8'* ]] || return 0
        sleep 0.1
    done
    exit 1
}

up_ceph() {
    start_mon
    start_mgr
    start_osd
    wait_for_stats
    init_pool
    : >"$dir/ready"
}
