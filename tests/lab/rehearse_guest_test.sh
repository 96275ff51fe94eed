# SPDX-License-Identifier: LGPL-2.1-or-later
# A real guest runs, and writes; its copy boots beside it, from the clone of a snapshot, and its agent answers.
source "$ROOT/tests/lab/rehearse_helpers.sh"

start mg-rehearsed
synced
before=$(volume_used "$guest-vda")
booted=$(grep -ac '^beat 0 ' "$log" || true)
beats=$(grep -ac '^beat' "$log")

said=$(rehearse --timeout 600 2>steps) || fail "$said $(cat steps)"
grep -E "$guest: its copy came up: its agent answered after" <<<"$said"
took=$(sed -nE 's/^  took ([0-9.]+) MiB .*/\1/p' <<<"$said")
((${took%.*} < 200)) || fail "the copy took $took MiB"
cleared
# The guest went on all the time, and its log has nothing of the copy's boot.
(($(grep -ac '^beat' "$log") > beats + 20)) || fail "the guest stood still"
[[ $(grep -ac '^beat 0 ' "$log" || true) == "$booted" ]] || fail "the copy wrote to the guest's log"
lives "$VMFERRY_LAB_HOSTA"
files_whole
[[ $(volume_used "$guest-vda") == "$before" ]] || fail "the volume has changed"
