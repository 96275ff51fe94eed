# SPDX-License-Identifier: LGPL-2.1-or-later
# Every command works on a volume of no bytes, and on those whose size is not a multiple of anything.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes tv-"' EXIT

volume=rbd:rbd/tv-1
for size in 0 511 4194305; do
  rm -f back.raw
  head -c $size /dev/urandom >src.raw
  ferry convert -q --verify --force src.raw $volume
  rbd info --format json rbd/tv-1 | grep -q "\"size\":$size," || fail "$size bytes: another size"
  ferry convert -q --verify $volume back.raw
  same src.raw back.raw
  ferry compare -q src.raw $volume
  ferry info $volume >/dev/null
  ferry info --json $volume | grep -q "\"virtual_bytes\":$size," || fail "$size bytes: $(ferry info --json $volume)"
  for view in table picture; do
    ferry map --view $view $volume >/dev/null
  done
  ferry map --json $volume >/dev/null
  ferry sparsify -q --in-place $volume
  ferry sparsify -q $volume again.raw
  same src.raw again.raw
  rm again.raw
  ferry sparsify -q --force src.raw rbd:rbd/tv-2
done
