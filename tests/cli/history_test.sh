# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What has changed since an internal snapshot, and snapshot tables that lie.

write() {
  local image=$1 command
  local commands=()
  shift
  for command in "$@"; do
    commands+=(-c "$command")
  done
  qemu-io -f qcow2 "${commands[@]}" "$image" >/dev/null
}

# since SNAPSHOT: start, length and whether it is zero of what is present, neighbours as one, wherever in the file they are.
since() {
  ferry map --json --since "$1" disk.qcow2 | jq -r '.[] | select(.present) | "\(.start) \(.length) \(.zero)"' |
    awk 'NR > 1 && $1 == at + length_ && $3 == zero { length_ += $2; next }
      NR > 1 { print at, length_, zero }
      { at = $1; length_ = $2; zero = $3 }
      END { if (NR) print at, length_, zero }'
}

for options in cluster_size=64k cluster_size=512 extended_l2=on; do
  qemu-img create -q -f qcow2 -o "$options" disk.qcow2 1G
  write disk.qcow2 'write -P 1 0 1M' 'write -P 1 900M 1M'
  qemu-img snapshot -c before disk.qcow2
  [[ -z $(since before) ]] || fail "changed, and nothing was written: $(since before)"
  write disk.qcow2 'write -P 2 128k 64k' 'write -z 512k 64k' 'write -P 2 500M 128k'
  [[ $(since before | paste -sd ,) == "131072 65536 false,524288 65536 true,524288000 131072 false" ]] ||
    fail "with $options: $(since before)"
  qemu-img snapshot -c after disk.qcow2
  [[ -z $(since after) ]] || fail "changed after the second: $(since after)"
  expect 1 "there is no snapshot 'x'" ferry map --since x disk.qcow2
  rm disk.qcow2
done
truncate -s 1M disk.raw
expect 2 "such an image cannot have snapshots" ferry map --since a disk.raw

# ---- A disk of exabytes is made of a few bytes that say so.
qemu-img create -q -f qcow2 disk.qcow2 16M
qemu-img snapshot -c small disk.qcow2
table=$((16#$(od -An -tx8 --endian=big -j 64 -N 8 disk.qcow2 | tr -d ' ')))
for size in '\x7f\xff\xff\xff\xff\xff\xff\xff' '\0\0\x10\0\0\0\0\0'; do
  printf '%b' "$size" | dd of=disk.qcow2 bs=1 seek=$((table + 48)) conv=notrunc status=none
  expect 1 "the L1 table of the snapshot 'small' .* is too short for its disk of" ferry map --since small disk.qcow2
done
# The table itself is somewhere else.
printf '%b' '\0\0\0\0\xff\xff\0\0' | dd of=disk.qcow2 bs=1 seek="$table" conv=notrunc status=none
expect 1 "the L1 table of the snapshot 'small' .* ends past the end of the file" ferry map --since small disk.qcow2
