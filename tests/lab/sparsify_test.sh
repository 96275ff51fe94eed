# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes give back their zeros in place, and copies of them are sparse.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes sp-"' EXIT

# 16 MiB of data, then 48 MiB of written zeros.
head -c 16M /dev/urandom >disk.raw
truncate -s 64M disk.raw
rbd create --size 64M rbd/sp-1
rbd bench --io-type write --io-size 4M --io-total 64M --io-pattern seq rbd/sp-1 >/dev/null # every object exists
qemu-img convert -n -S 0 -f raw -O raw disk.raw rbd:rbd/sp-1
used() {
  rbd du --format json "rbd/$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["used_size"] >> 20)'
}
(($(used sp-1) == 64)) || fail "the test needs an allocated volume: $(used sp-1)"

ferry sparsify --dry-run --json rbd:rbd/sp-1 | grep -q '"allocated_after_bytes":16777216' || fail "the dry run"
(($(used sp-1) == 64)) || fail "a dry run changed the volume"
ferry sparsify rbd:rbd/sp-1 rbd:rbd/sp-2 >said.txt
grep -Eq 'rbd:rbd/sp-2: 64.0 MiB, 64.0 MiB allocated before, 16.0 MiB after; saved 48.0 MiB' said.txt || fail "said: $(cat said.txt)"
(($(used sp-1) == 64)) || fail "a copy changed the source"

# Whoever has the volume open is in the way.
open_volume rbd/sp-1
expect 1 "a client has the volume open" ferry sparsify --in-place rbd:rbd/sp-1
close_volume rbd/sp-1

ferry sparsify --in-place --json rbd:rbd/sp-1 >report.json
grep -q '"allocated_after_bytes":16777216,"saved_bytes":50331648' report.json || fail "said: $(cat report.json)"
(($(used sp-1) == 16)) || fail "left: $(used sp-1) MiB"
rbd export --no-progress rbd/sp-1 - | cmp - disk.raw || fail "the volume reads differently"
rbd snap create --no-progress rbd/sp-1@monday
expect 2 "a snapshot cannot be changed" ferry sparsify --in-place rbd:rbd/sp-1@monday
