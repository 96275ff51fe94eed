# SPDX-License-Identifier: LGPL-2.1-or-later
# The benchmark runs: each of its cases, with each peer, on images of 8 MiB. What it measures of them means nothing.
eval "$("$ROOT/tools/lab" env)"
trap 'finish "clear_volumes vmferry-bench"' EXIT
"$ROOT/tests/bench/run" --tiny --skip-cold --vmferry "$VMFERRY" --dir "$PWD" --json all.json --markdown all.md >text 2>log ||
  fail "bench: $(cat log text)"
python3 - <<'END' || fail "$(cat text)"
import json
cases = json.load(open("all.json"))["cases"]
assert len(cases) >= 29 and not any(case["error"] or case["cold"] for case in cases), cases
for case in cases:
    own = next(tool for tool in case["tools"] if tool["name"] == "vmferry")
    peers = [tool for tool in case["tools"] if tool is not own]
    assert own["ratio"] == 1 and own["cpu_seconds"][0] > 0, own
    assert peers or "seconds" in case["expected"], case
    assert all(tool["seconds"][0] > 0 and tool["ratio"] > 0 for tool in peers), peers
    assert set(case["verdicts"].values()) <= {"pass", "short"}, case["verdicts"]
END
grep -q 'rados bench' all.md || fail "no row of rados bench"
volumes=$(rbd ls)
[[ $volumes != *vmferry-bench* ]] || fail "volumes are left: $volumes"

"$ROOT/tests/bench/run-sparsify" --case in-place --case reflink-copy --rounds 1 --vmferry "$VMFERRY" --dir "$PWD" \
  --image images/debian.raw >text 2>log || fail "sparsify: $(cat log text)"
(($(grep -cE '^\| (in-place|reflink-copy) \|.* s \|' text) == 6)) || fail "not six rows: $(cat text)"
