# SPDX-License-Identifier: LGPL-2.1-or-later
# Few file descriptors: the soft limit is raised; too low a hard limit is an error, never a crash of Ceph's library. The
# same for threads.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes fd-"' EXIT
make_disk disk.raw
ferry convert -q disk.raw rbd:rbd/fd-1

limited() { # ulimit options, then the command
  (
    ulimit "$1" "$2"
    shift 2
    exec "$VMFERRY" "$@"
  )
}

limited -Sn 12 info rbd:rbd/fd-1 >/dev/null || fail "the soft limit is not raised"
limited -Sn 12 compare -q -j 64 disk.raw rbd:rbd/fd-1 || fail "the soft limit is not raised"
for limit in 8 13 20; do
  expect 1 "too few file descriptors: a Ceph client needs [0-9]+" limited -n $limit info rbd:rbd/fd-1
  expect 1 "too few file descriptors" limited -n $limit convert disk.raw rbd:rbd/fd-2
done
# The second client of one command.
expect 1 "too few file descriptors" limited -n 30 convert rbd:rbd/fd-1 rbd:rbd/fd-2

# Threads. Limits on them hold for users other than root.
install -m 644 "$VMFERRY_LAB/keyring" "$VMFERRY_LAB/ceph.conf" .
chmod 755 .
as_user() { # NPROC COMMAND...
  CEPH_CONF=$PWD/ceph.conf setpriv --reuid 65508 --regid 65508 --clear-groups prlimit --nproc="$1" "$VMFERRY" "${@:2}"
}
for limit in 2 5 12 20; do
  expect 1 "too few threads: a Ceph client needs [0-9]+, [0-9]+ are left" \
    as_user $limit info --keyring keyring rbd:rbd/fd-1
done
as_user 60 info --keyring keyring rbd:rbd/fd-1 >/dev/null
