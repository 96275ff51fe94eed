# SPDX-License-Identifier: LGPL-2.1-or-later
# What a job asks of the cluster does not grow with the fleet; a small form of the benchmark.
eval "$("$ROOT/tools/lab" env)"
"$ROOT/tests/bench/run-fleet" --vmferry "$VMFERRY" --size 1:20 --size 10:200 --seconds 0 --processes 2 >said 2>&1 || fail "$(cat said)"
cat said
