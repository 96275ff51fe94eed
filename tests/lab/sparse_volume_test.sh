# SPDX-License-Identifier: LGPL-2.1-or-later
# What a command costs follows the data of a volume, not its size; and its object map says what its objects do.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes sv-"' EXIT

# The data of a volume or snapshot, in whole objects, as vmferry and as rbd sees it.
same_objects() { # VOLUME
  ferry map --json "rbd:$1" >seen.json
  rbd diff --whole-object --format json "$1" >diff.json
  python3 - <<'P' || fail "other objects of $1: $(cat seen.json diff.json)"
import json

def joined(runs):
    out = []
    for start, length in sorted(runs):
        if out and out[-1][0] + out[-1][1] == start:
            out[-1][1] += length
        else:
            out.append([start, length])
    return out

seen = joined((e["start"], e["length"]) for e in json.load(open("seen.json")) if e["data"])
told = joined((int(e["offset"]), int(e["length"])) for e in json.load(open("diff.json")) if e["exists"] == "true")
assert seen == told and told, (seen, told)
P
}

# Objects that came, went, stayed in a snapshot only, and a size that is not a multiple of them.
truncate -s 41000001 src.raw
for at in 0 9 10 20 37; do
  dd if=/dev/urandom of=src.raw bs=1M count=1 seek=$at conv=notrunc status=none
done
for features in layering layering,exclusive-lock,object-map layering,exclusive-lock,object-map,fast-diff; do
  ferry convert -q --force --object-size 1M --features $features src.raw rbd:rbd/sv-1
  rbd snap create --no-progress rbd/sv-1@s
  same_objects rbd/sv-1
  rbd bench --io-type write --io-size 4K --io-total 4K rbd/sv-1 >/dev/null
  rbd resize --no-progress --allow-shrink --size 30M rbd/sv-1
  same_objects rbd/sv-1
  same_objects rbd/sv-1@s
  ferry convert -q --force rbd:rbd/sv-1@s back.raw
  same src.raw back.raw
  rbd snap rm --no-progress rbd/sv-1@s
done
# An object map that is marked as wrong is not believed.
rbd object-map rebuild --no-progress rbd/sv-1
rados -p rbd rm "rbd_object_map.$(rbd info --format json rbd/sv-1 | grep -o '"id":"[^"]*"' | cut -d'"' -f4)"
rbd bench --io-type write --io-size 4K --io-total 4K rbd/sv-1 >/dev/null 2>&1
rbd export --no-progress rbd/sv-1 all.raw
ferry compare -q all.raw rbd:rbd/sv-1

# Of 16 TiB, almost all of it room.
rbd create --size 16T rbd/sv-2
rbd bench --io-type write --io-size 64K --io-total 128K --io-pattern rand rbd/sv-2 >/dev/null
TIMEFORMAT=%U
for command in info map "compare rbd:rbd/sv-2"; do
  # shellcheck disable=SC2086 # words
  seconds=$({ time ferry $command rbd:rbd/sv-2 >/dev/null; } 2>&1)
  ((${seconds%.*} < 1)) || fail "$command took $seconds s of the processor"
done
