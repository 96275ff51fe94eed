# SPDX-License-Identifier: LGPL-2.1-or-later
# kill -9 and Ctrl-C at any point of a run in place leave the same bytes.
# Many small runs of zeros make many steps to be killed between.
python3 - <<'PY'
import os, random
random.seed(7)
block = os.urandom(4096)
with open("model.raw", "wb") as disk:
    for _ in range(24000):
        disk.write(block if random.random() < 0.5 else bytes(4096))
PY
cp --reflink=never --sparse=never model.raw disk.raw
full=$(allocated disk.raw)
start=$(date +%s%N)
ferry sparsify -q --in-place disk.raw
whole=$((($(date +%s%N) - start) / 1000)) # microseconds
same model.raw disk.raw
sparse=$(allocated disk.raw)
((sparse < full * 6 / 10)) || fail "$sparse of $full bytes left"

midway=0
for round in $(seq 24); do
  cp --reflink=never --sparse=never model.raw disk.raw
  "$VMFERRY" sparsify -q --in-place -j $((round % 4 + 1)) disk.raw &
  pid=$!
  sleep "$(awk -v r="$round" -v w="$whole" 'BEGIN { printf "%.6f", r * w / 24 / 1e6 }')"
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  same model.raw disk.raw
  now=$(allocated disk.raw)
  ((now == full || now <= sparse + 65536)) || midway=$((midway + 1))
done
((midway > 0)) || fail "no run was killed between its first and its last step"
# The next run ends what was begun.
ferry sparsify -q --in-place disk.raw
same model.raw disk.raw
(($(allocated disk.raw) <= sparse + 65536)) || fail "the next run did not go on"
