# SPDX-License-Identifier: LGPL-2.1-or-later
# --trim from a file to a volume, and from a volume and its snapshot to a file.
export LIBGUESTFS_BACKEND=direct LIBGUESTFS_BACKEND_SETTINGS=force_tcg LIBGUESTFS_CACHEDIR=/var/tmp TMPDIR=$work
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes tr-"' EXIT
mkdir tree
head -c 3M /dev/urandom >tree/keep.bin
head -c 64M < <(yes "DELETED BY GUEST") >disk.raw
mke2fs -q -F -t ext4 -E nodiscard,lazy_itable_init=0 -d tree disk.raw

holds_keep() { # IMAGE: a raw file with the file system, whole and small
  e2fsck -fn "$1" >/dev/null 2>&1 || fail "$1 is damaged"
  debugfs -R "cat /keep.bin" "$1" 2>/dev/null | cmp - tree/keep.bin || fail "$1 holds another file"
  (($(grep -ac "DELETED BY GUEST" "$1" || true) < 400000)) || fail "what was deleted is in $1"
}

ferry sparsify --trim --json disk.raw rbd:rbd/tr-1 >report.json
grep -Eq '"dropped_bytes":5[0-9]{7}' report.json || fail "said: $(cat report.json)"
rbd export --no-progress rbd/tr-1 from-volume.raw
holds_keep from-volume.raw

rbd import --no-progress disk.raw rbd/tr-2
rbd snap create --no-progress rbd/tr-2@monday
ferry convert --trim --json rbd:rbd/tr-2@monday from-snapshot.raw >report.json
grep -Eq '"dropped_bytes":5[0-9]{7}' report.json || fail "said: $(cat report.json)"
holds_keep from-snapshot.raw
rbd export --no-progress rbd/tr-2 - | cmp - disk.raw || fail "the source was touched"

expect 1 "trimmed on its way to a copy only" ferry sparsify --trim --in-place rbd:rbd/tr-1
open_volume rbd/tr-2
expect 1 "has it open for writing" ferry sparsify --trim rbd:rbd/tr-2 refused.raw
close_volume rbd/tr-2 # or it cannot be removed
no_leftovers
