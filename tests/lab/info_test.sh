# SPDX-License-Identifier: LGPL-2.1-or-later
# What info and map say of volumes; rbd info, rbd snap ls, rbd du, rbd diff and qemu-img map are the oracles.
PATH=$PATH:/sbin:/usr/sbin
eval "$("$ROOT/tools/lab" env)"
tidy() {
  rbd rm --no-progress rbd/in-clone
  clear_volumes in-
}
trap 'finish tidy' EXIT

truncate -s 200M disk.raw
sfdisk -q disk.raw <<'END'
label: gpt
size=64M, name="boot"
size=100M, name="root"
END
truncate -s 100M root
mke2fs -q -t ext4 -L root root
dd if=root of=disk.raw bs=1M seek=65 conv=notrunc,sparse status=none

ceph osd pool create in-data 8 >/dev/null 2>&1
ferry convert -q --object-size 1M --data-pool in-data disk.raw rbd:rbd/in-1
rbd snap create --no-progress rbd/in-1@monday
rbd snap create --no-progress rbd/in-1@tuesday
rbd snap protect rbd/in-1@monday

agrees() { # VOLUME[@SNAPSHOT]
  ferry info --json "rbd:rbd/$1" >got.json
  rbd info --format json "rbd/$1" >want.json
  rbd snap ls --format json "rbd/${1%@*}" >snaps.json
  python3 - <<'END'
import json
got, want, snaps = (json.load(open(n)) for n in ("got.json", "want.json", "snaps.json"))
r = got["rbd"]
assert got["virtual_bytes"] == want["size"], (got, want)
assert r["id"] == want["id"] and r["object_bytes"] == want["object_size"], (r, want)
assert sorted(r["features"]) == sorted(want["features"]), (r, want)
assert r.get("data_pool") == want.get("data_pool"), (r, want)
assert r["stripe_count"] == want.get("stripe_count", 1), (r, want)
parent = want.get("parent")
assert r.get("parent") == (parent and "rbd:%(pool)s/%(image)s@%(snapshot)s" % parent), (r, want)
assert r.get("parent_overlap_bytes") == (parent and parent["overlap"]), (r, want)
assert [(str(s["id"]), s["name"], s["size"], s["protected"] == "true") for s in snaps] == \
    [(s["id"], s["name"], s["virtual_bytes"], s["protected"]) for s in r["snapshots"]], (r, snaps)
END
}
agrees in-1
agrees in-1@monday
rbd clone rbd/in-1@monday rbd/in-clone --object-size 4M
rbd resize --no-progress --allow-shrink --size 150M rbd/in-clone
agrees in-clone
ferry convert -q --stripe-unit 64K --stripe-count 4 disk.raw rbd:rbd/in-2
agrees in-2
used=$(rbd du --format json rbd/in-2 | python3 -c 'import json,sys; print(json.load(sys.stdin)["images"][0]["used_size"])')
ferry info --json rbd:rbd/in-2 | grep -q "\"used_bytes\":$used," || fail "used is not $used"
expect 0 '^  parent +rbd:rbd/in-1@monday, of which 150.0 MiB can show through$' ferry info rbd:rbd/in-clone
expect 0 '^    [0-9]+ +monday +20[0-9-]+ .* yes$' ferry info rbd:rbd/in-1
expect 0 '^  data pool +in-data$' ferry info rbd:rbd/in-1

# What is inside shows through, from the clone, too.
for volume in in-1 in-1@tuesday in-2 in-clone; do
  expect 0 '^ +2 +65 MiB +100.0 MiB +Linux filesystem +root +ext4 1.0 +root$' ferry info "rbd:rbd/$volume"
done

# The map: data is where rbd diff says that objects are, and the JSON is QEMU's.
same_map() { # VOLUME
  ferry map --json "rbd:rbd/$1" >got.json
  qemu-img map --output=json -f raw "rbd:rbd/$1" >want.json
  python3 - <<'END'
import json
def data(name):
    runs = []
    for e in json.load(open(name)):
        assert set(e) - {"compressed"} == {"start", "length", "depth", "present", "zero", "data", "offset"}, e
        assert e["present"] and e["depth"] == 0 and e["data"] != e["zero"] and e["offset"] == e["start"], e
        runs.append((e["start"], e["length"], e["data"]))
    return runs
got, want = data("got.json"), data("want.json")
assert got == want, [(g, w) for g, w in zip(got, want) if g != w][:3]
END
}
diff_agrees() { # VOLUME
  rbd diff --whole-object --format json "rbd/$1" >diff.json
  ferry map --json "rbd:rbd/$1" >map.json
  python3 - <<'END'
import json
want = sorted((d["offset"], int(d["length"])) for d in json.load(open("diff.json")) if d["exists"] == "true")
joined = []
for offset, length in want:
    if joined and joined[-1][0] + joined[-1][1] == offset:
        joined[-1][1] += length
    else:
        joined.append([offset, length])
got = [[e["start"], e["length"]] for e in json.load(open("map.json")) if e["data"]]
assert got == joined, (got[:5], joined[:5])
END
}
diff_agrees in-1
diff_agrees in-2
diff_agrees in-clone
same_map in-1 # of striped ones and clones QEMU may say that all of it is data

# qcow2 inside a volume; a large one in a moment.
qemu-img convert -O qcow2 disk.raw disk.qcow2
rbd import --no-progress disk.qcow2 rbd/in-q
ferry map --json rbd:rbd/in-q >got.json
qemu-img map --output=json -f qcow2 rbd:rbd/in-q >want.json
as_old_qemu got.json want.json
same want.json got.json
expect 0 '^  used +' ferry info rbd:rbd/in-q
rbd create --size 8T rbd/in-huge
timeout 20 "$VMFERRY" map --json rbd:rbd/in-huge >got.json
[[ $(wc -l <got.json) == 1 ]] || fail "an empty volume has more than one extent"
ferry map --svg in.svg rbd:rbd/in-clone
expect 1 "no such volume" ferry info rbd:rbd/in-none
