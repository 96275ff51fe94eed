# SPDX-License-Identifier: LGPL-2.1-or-later
# What info says of images; qemu-img info is the oracle.
field() { # FILE EXPRESSION: of the JSON object i
  python3 -c 'import json,sys; i=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"
}
is() { # EXPRESSION VALUE
  [[ $(field got.json "$1") == "$2" ]] || fail "$1 is $(field got.json "$1"), not $2: $(cat got.json)"
}
agree() {   # IMAGE: with qemu-img on all that both tell
  sync "$1" # what a file takes on disk may change until it is there
  ferry info -q -f qcow2 --json "$1" >got.json
  qemu-img info -f qcow2 --output=json "$1" >want.json
  python3 - <<'END'
import json
got, want = json.load(open("got.json")), json.load(open("want.json"))
data = want["format-specific"]["data"]
assert got["virtual_bytes"] == want["virtual-size"], (got, want)
assert got["allocated_bytes"] == want["actual-size"], (got, want)
q = got["qcow2"]
assert q["cluster_bytes"] == want["cluster-size"]
assert q["refcount_bits"] == data["refcount-bits"]
assert q["version"] == (3 if data["compat"] == "1.1" else 2)
assert q["compression_type"] == data["compression-type"]
assert ("lazy refcounts" in q["features"]) == data.get("lazy-refcounts", False)
assert ("extended L2 entries" in q["features"]) == data.get("extended-l2", False)
assert q.get("backing_file") == want.get("backing-filename")
assert q.get("backing_format") == want.get("backing-filename-format")
assert [(s["id"], s["name"], s["vm_state_bytes"]) for s in q["snapshots"]] == \
    [(s["id"], s["name"], s["vm-state-size"]) for s in want.get("snapshots", [])], (got, want)
assert [(b["name"], b["granularity_bytes"], b["recording"]) for b in q["bitmaps"]] == \
    [(b["name"], b["granularity"], "auto" in b["flags"]) for b in data.get("bitmaps", [])], (got, want)
END
}

make_disk disk.raw
truncate -s 20000256 disk.raw
for options in compat=0.10 compat=1.1,lazy_refcounts=on cluster_size=512 compression_type=zstd extended_l2=on \
  refcount_bits=64 preallocation=metadata; do
  qemu-img convert -O qcow2 -o "$options" disk.raw plain.qcow2
  agree plain.qcow2
done
qemu-img create -q -f qcow2 -F raw -b disk.raw over.qcow2
agree over.qcow2
qemu-img snapshot -c monday over.qcow2
qemu-io -c 'write -P 7 1M 64k' over.qcow2 >/dev/null
qemu-img snapshot -c $'odd\033[31mname' over.qcow2
qemu-img bitmap --add -g 32K over.qcow2 changes
qemu-img bitmap --add --disable over.qcow2 $'\001old'
ferry info -f qcow2 over.qcow2 >text
grep -q $'\033\|\001' text && fail "control characters reach the terminal"
grep -q 'odd?\[31mname' text || fail "no second snapshot: $(cat text)"
grep -Eq '^    1 +monday +20[0-9-]+ [0-9:]+ UTC ' text || fail "no snapshot: $(cat text)"
grep -Eq '^    changes +32 KiB +recording$' text || fail "no bitmap: $(cat text)"
grep -q 'backing file  disk.raw (raw)' text || fail "no backing file: $(cat text)"
grep -q 'Backing chain: over.qcow2 <- .*/disk.raw$' text || fail "no chain: $(cat text)"

# A chain: what each of its images contributes adds up to the disk.
qemu-img create -q -f qcow2 -F qcow2 -b over.qcow2 top.qcow2 40M
qemu-io -c 'write -P 9 3M 3k' -c 'write -P 9 35M 64k' top.qcow2 >/dev/null
ferry info -q -f qcow2 --backing-chain --json top.qcow2 >got.json
is 'len(i["backing_chain"])' 2
is '[c["format"] for c in i["backing_chain"]]' "['qcow2', 'raw']"
is 'i["data_bytes"]' 131072
ferry map -f qcow2 --json top.qcow2 >map.json
python3 - <<'END'
import json
info, extents = json.load(open("got.json")), json.load(open("map.json"))
for depth, image in enumerate([info] + info["backing_chain"]):
    data = sum(e["length"] for e in extents if e["depth"] == depth and e["data"] and not e["zero"])
    assert image["data_bytes"] == data, (depth, image, data)
END
ferry info -f qcow2 --backing-chain top.qcow2 | grep -q '^Behind it: .*/disk.raw$' || fail "no chain"

# Compressed bytes are told apart.
qemu-img convert -c -O qcow2 disk.raw packed.qcow2
ferry info --json packed.qcow2 >got.json
is 'i["probed"]' True
is '0 < i["compressed_bytes"] < i["data_bytes"]' True # random bytes do not pack

# What cannot be opened behind the image is a remark, not a failure: the image itself is described.
ferry info top.qcow2 >text
grep -q 'Not all could be read: .*only probed as qcow2' text || fail "no remark: $(cat text)"
grep -q 'hint: pass -f qcow2' text || fail "no hint: $(cat text)"
rm disk.raw
ferry info --json -f qcow2 over.qcow2 >got.json
is '"No such file" in i["problem"]' True
is 'len(i["qcow2"]["snapshots"])' 2
truncate -s 3M luks
cryptsetup -q luksFormat --type luks1 --pbkdf-force-iterations 1000 --cipher aes-xts-plain64 --key-size 512 luks - <<<"x"
qemu-img create -q -f qcow2 locked.qcow2 4M
python3 "$ROOT/tests/cli/qcow2/luks.py" locked.qcow2 luks
ferry info -f qcow2 --json locked.qcow2 >got.json
is 'i["qcow2"]["encryption"]' LUKS

# Raw.
truncate -s 3000001 odd.raw
dd if=/dev/urandom of=odd.raw bs=64K count=1 conv=notrunc status=none
ferry info --json odd.raw >got.json
is 'i["format"], i["virtual_bytes"], i["data_bytes"], i["allocated_bytes"]' "('raw', 3000001, 65536, $(allocated odd.raw))"
expect 0 'virtual size  2.9 MiB \(3000001 bytes\)' ferry info odd.raw
expect 0 'No partition table and no file system found' ferry info odd.raw

head -c 100 plain.qcow2 >cut.qcow2
expect 1 "qcow2 header" ferry info cut.qcow2
expect 1 "is a directory" ferry info .
expect 1 "No such file" ferry info none
expect 2 "see 'vmferry info --help'" ferry info
