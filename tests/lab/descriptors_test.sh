# SPDX-License-Identifier: LGPL-2.1-or-later
# Few file descriptors: the soft limit is raised; too low a hard limit is an error, never a crash of Ceph's library.
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
expect 2 "too few file descriptors" limited -n 30 compare rbd:rbd/fd-1 rbd:rbd/fd-1
