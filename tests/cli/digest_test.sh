# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One digest for one disk, however it is stored: as the manual page tells others to compute it.

cat >digest.py <<'END'
import struct, sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9,
                      0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)

def rotl(x, r):
    return (x << r | x >> (64 - r)) & MASK

def lane(acc, word):
    return rotl((acc + word * P2) & MASK, 31) * P1 & MASK

def xxh64(data):
    at, n = 0, len(data)
    if n >= 32:
        v = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        for words in struct.iter_unpack('<4Q', data[:n // 32 * 32]):
            v = [lane(a, w) for a, w in zip(v, words)]
        at = n // 32 * 32
        h = (rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18)) & MASK
        for a in v:
            h = ((h ^ lane(0, a)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + n) & MASK
    while at + 8 <= n:
        h = (rotl(h ^ lane(0, struct.unpack_from('<Q', data, at)[0]), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= n:
        h = (rotl(h ^ struct.unpack_from('<I', data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotl(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32

disk = open(sys.argv[1], 'rb').read()
BLOCK = 4 << 20
text = struct.pack('<Q', len(disk))
for piece in range(0, (len(disk) + 16 * BLOCK - 1) // (16 * BLOCK)):
    entries, some = b'', False
    for block in range(piece * 16, piece * 16 + 16):
        data = disk[block * BLOCK:(block + 1) * BLOCK].rstrip(b'\0')
        entries += struct.pack('<IQ', len(data), xxh64(data) if data else 0)
        some = some or data
    if some:
        text += struct.pack('<QQ', piece, xxh64(entries))
print('xxh64t:%016x' % xxh64(text))
END

make_disk a.raw
want=$(python3 digest.py a.raw)
expect 0 "digest: $want" ferry convert --digest a.raw sparse.raw
expect 0 "\"digest\":\"$want\"" ferry convert --digest --json --reflink never a.raw again.raw
qemu-img convert -O qcow2 -c sparse.raw a.qcow2
truncate -s 20000256 sparse.raw # a qcow2 has whole sectors
want_of_qcow2=$(python3 digest.py sparse.raw)
expect 0 "digest: $want_of_qcow2" ferry convert -f qcow2 --digest a.qcow2 b.raw
truncate -s 20000001 sparse.raw
expect 0 "digest: $want" ferry convert -f raw --digest sparse.raw last.raw

expect 0 "digest: $want" ferry compare --digest a.raw sparse.raw
expect 0 "\"digest\":\"$want\"" ferry compare --digest --json sparse.raw a.raw
expect 0 "the image has this digest" ferry compare --digest "$want" last.raw
expect 0 '"same":true,"digest":' ferry compare --digest --json "$want" last.raw
expect 0 "" ferry compare --digest --quiet "$want" last.raw

# A byte that differs, and a size that differs.
cp --reflink=never a.raw b.raw
printf X | dd of=b.raw bs=1 seek=19999999 conv=notrunc status=none
other=$(python3 digest.py b.raw)
expect 1 "the image has another digest: $other" ferry compare --digest "$want" b.raw
expect 1 '"same":false' ferry compare --digest --json "$want" b.raw
expect 1 "^the images differ, first at byte 19999999\$" ferry compare --digest a.raw b.raw
truncate -s 21M b.raw
expect 1 "another digest" ferry compare --digest "$other" b.raw

# What is nearly a digest is no file that is missing.
for text in "${want%?}" "${want}0" "${want%?}g" "${want^^}" "xxh64:${want#*:}"; do
  text=${text/#XXH64T/xxh64t}
  expect 2 "$text: this is no digest: one is 'xxh64t:' and 16 of" ferry compare --digest "$text" a.raw
done

# A file may have such a name.
cp a.raw "$want"
expect 0 "are the same" ferry compare --digest "./$want" a.raw
expect 2 "No such file" ferry compare "xxh64t:0123456789abcdef" a.raw

# The record of a copy.
expect 0 "" ferry convert --quiet --verify --report record.json a.raw recorded.raw
python3 - "$want" <<'END'
import json, sys
record = json.load(open("record.json"))
assert record["digest"] == sys.argv[1], record
assert record["source"] == "a.raw" and record["target"] == "recorded.raw", record
assert record["virtual_bytes"] == 20000001 and record["verified_by"] == "reading", record
assert record["began"] <= record["ended"] and record["vmferry"] and "bytes" in record["source_stamp"], record
END
expect 1 "record.json: write the report: the file exists" ferry convert --report record.json a.raw recorded2.raw
expect 1 "No such file or directory" ferry convert --report none/record.json a.raw recorded2.raw
[[ ! -e recorded2.raw ]] || fail "copied before the report was asked for"
