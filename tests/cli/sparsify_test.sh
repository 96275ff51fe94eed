# SPDX-License-Identifier: LGPL-2.1-or-later
# Space that holds no data is given back, and the bytes stay the same.
make_disk sparse.raw

# Every block allocated, some of them zeros; one stretch was only ever reserved.
full_copy() { # NAME
  cp --reflink=never --sparse=never sparse.raw "$1"
  fallocate -o 20004864 -l 8M -n "$1" # behind the end
  (($(allocated "$1") >= 28000000)) || fail "the test needs an allocated file"
}

full_copy a.raw
before=$(allocated a.raw)
json=$(ferry sparsify --dry-run --json a.raw)
[[ $(allocated a.raw) == "$before" ]] || fail "a dry run changed the file"
python3 - "$json" "$before" <<'PY'
import json, sys
r, before = json.loads(sys.argv[1]), int(sys.argv[2])
assert r["dry_run"] and r["allocated_before_bytes"] == before and r["virtual_bytes"] == 20000001, r
assert r["saved_bytes"] == before - r["allocated_after_bytes"] and r["allocated_after_bytes"] < 3500000, r
PY
promised=$(python3 -c 'import json,sys; print(json.loads(sys.argv[1])["allocated_after_bytes"])' "$json")

ferry sparsify --in-place a.raw >said.txt
grep -Eq '^a.raw: 19.1 MiB, 27.* MiB allocated before, 3.* MiB after; saved 24.* MiB in ' said.txt || fail "said: $(cat said.txt)"
same sparse.raw a.raw
now=$(allocated a.raw)
((now < 3500000 && now <= promised + 65536 && promised <= now + 65536)) || fail "allocated $now, promised $promised"
ferry sparsify -q --in-place --json a.raw | grep -q '"saved_bytes":0' || fail "nothing is left to save"

# What was reserved with fallocate and never written is a hole to every scan, and takes space all the same.
fallocate -l 16M reserved.raw
printf x | dd of=reserved.raw bs=1 seek=9000000 conv=notrunc status=none
cp reserved.raw reserved.before
ferry sparsify -q --in-place reserved.raw
same reserved.before reserved.raw
(($(allocated reserved.raw) <= 65536)) || fail "reserved space stays: $(allocated reserved.raw)"

# A qcow2 file is a file: its zeros become holes, its bytes stay.
qemu-img create -q -f qcow2 -o preallocation=full q.qcow2 16M
cp --reflink=never --sparse=never q.qcow2 full.qcow2
ferry sparsify --in-place full.qcow2 | grep -q '^full.qcow2: 16.0 MiB, 16' || fail "the size a guest sees"
same q.qcow2 full.qcow2
(($(allocated full.qcow2) < 1000000)) || fail "the zeros stay: $(allocated full.qcow2)"

# Sizes of nothing, one byte, and very much.
for size in 0 1 4097 8T; do
  rm -f s.raw
  truncate -s "$size" s.raw
  ferry sparsify -q --in-place s.raw
  [[ $(stat -c %s s.raw) == "$(truncate -s "$size" t.raw && stat -c %s t.raw)" ]] || fail "size of $size changed"
  rm -f t.raw
done

# A copy: the source is not touched.
full_copy source.raw
sum=$(sha256sum <source.raw)
before=$(allocated source.raw)
ferry sparsify source.raw copy.raw >said.txt
grep -Eq '^copy.raw: 19.1 MiB, 27.* MiB allocated before, 3.* MiB after; saved 24' said.txt || fail "said: $(cat said.txt)"
same source.raw copy.raw
[[ $(sha256sum <source.raw) == "$sum" && $(allocated source.raw) == "$before" ]] || fail "the source was touched"
(($(allocated copy.raw) < 3500000)) || fail "not sparse: $(allocated copy.raw)"
no_leftovers
ferry sparsify --dry-run --json source.raw none.raw | grep -q '"dry_run":true' || fail "no dry run"
[[ ! -e none.raw ]] || fail "a dry run made a target"

# Who has the image open for writing.
exec 7>>source.raw
expect 1 "another process, or a loop device, has it open for writing" ferry sparsify --in-place source.raw
exec 7>&-
hold_image -f raw source.raw
trap 'finish "kill $holder"' EXIT
expect 1 "a running virtual machine has it open for writing" ferry sparsify -q --in-place source.raw
kill "$holder"
wait "$holder" || true

# What makes no sense.
expect 2 "neither --in-place nor a target" ferry sparsify source.raw
expect 2 "exclude each other" ferry sparsify --in-place source.raw x.raw
expect 2 "are about a target" ferry sparsify --in-place --verify source.raw
expect 1 "No such file" ferry sparsify --in-place none.raw
expect 1 "is a directory" ferry sparsify --in-place .
