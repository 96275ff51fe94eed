# SPDX-License-Identifier: LGPL-2.1-or-later
# Raw files: the same bytes, as sparse as the content allows.
make_disk disk.raw
ferry convert -q disk.raw copy.raw
same disk.raw copy.raw
(($(allocated copy.raw) < 3500000)) || fail "stored zeros were copied: $(allocated copy.raw) bytes"
no_leftovers

# A fully allocated file of zeros becomes an empty one.
dd if=/dev/zero of=zeros.raw bs=1M count=16 status=none
(($(allocated zeros.raw) >= 16777216)) || fail "the test needs an allocated file"
ferry convert -q zeros.raw empty.raw
same zeros.raw empty.raw
(($(allocated empty.raw) == 0)) || fail "not empty: $(allocated empty.raw)"

# Sizes of nothing, one byte, and very much.
for size in 0 1 511 4097 8T; do
  rm -f s.raw t.raw
  truncate -s "$size" s.raw
  ferry convert -q s.raw t.raw
  [[ $(stat -c %s s.raw) == $(stat -c %s t.raw) ]] || fail "size of $size changed"
done

# Holes are not read, nor read ahead: the kernel would fill memory with their zeros.
dd if=/dev/zero of=zeros.raw bs=1M count=64 status=none
truncate -s 64M holes.raw
for file in zeros.raw holes.raw; do
  printf x | dd of=$file bs=1M seek=63 conv=notrunc status=none
done
sync holes.raw
dd if=holes.raw iflag=nocache count=0 status=none # forget all of it
ferry compare -q zeros.raw holes.raw
(($(fincore -nbo RES holes.raw) <= 4 * $(getconf PAGESIZE))) || fail "in memory are $(fincore -nbo RES holes.raw) bytes of $(allocated holes.raw)"

# Names with spaces, UTF-8, colons; a link stays a link.
cp disk.raw 'my disk: ü.raw'
ferry convert -q 'my disk: ü.raw' 'c:d é.raw'
same disk.raw 'c:d é.raw'
ln -s real.raw link.raw
echo old >real.raw
ferry convert -q --force disk.raw link.raw
[[ -L link.raw ]] || fail "the link was replaced"
same disk.raw real.raw

# --verify, -f raw, several jobs.
ferry convert -q --verify -f raw -j 1 disk.raw v.raw
same disk.raw v.raw

# The result object.
json=$(ferry convert --json disk.raw j.raw)
python3 - "$json" <<'PY'
import json, sys
r = json.loads(sys.argv[1])
assert r["virtual_bytes"] == 20000001 and r["target"] == "j.raw", r
assert r["written_bytes"] + r["zero_skipped_bytes"] == r["virtual_bytes"], r
assert 3 << 20 <= r["written_bytes"] < 3500000 and r["read_bytes"] >= r["written_bytes"], r
PY
ferry convert -q --progress json disk.raw k.raw 2>quiet.err
[[ ! -s quiet.err ]] || fail "quiet, but it said: $(cat quiet.err)"
ferry convert --progress json disk.raw l.raw 2>lines.err >/dev/null
tail -n 1 lines.err | python3 -c 'import json,sys; r=json.loads(sys.stdin.read()); assert r["data_done_bytes"] >= r["written_bytes"] > 0, r'
