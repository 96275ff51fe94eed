# SPDX-License-Identifier: LGPL-2.1-or-later
# The page of a fleet: its figures are those of the JSON, whatever guests are called and are at.
eval "$("$ROOT/tools/lab" env)"
stub=$(dirname -- "$VMFERRY")/vmferry-stub-worker
export FAKE_DIR=$PWD/fake
mkdir fake
name=fleet-page-$$
undo_all() {
  kill -9 "$worker"
  rados -p rbd -N vmferry rm "fleet.$name"
  rados -p rbd -N vmferry rmomapkey fleets "$name"
}
trap 'finish undo_all' EXIT
work_for() {
  "$stub" rbd "$name" "$ROOT/tests/fleet/fake-migrate" . 8 1 "$1" >>worker.log 2>&1 &
  worker=$!
}
page() {
  ferry fleet status "$name" --html page.html --json >status.json
  "$ROOT/tests/fleet/check-page" page.html status.json "$@" || fail "see above"
}
is_running() {
  ferry fleet status "$name" --json | grep -q '"phase": "copy"'
}

"$ROOT/tests/fleet/make-plan" rbd 2 12 'jobs = 4' 'jobs_per_host = 1' >plan.toml
sed -i "s/\"g5\"/\"<b>web \&amp; 5\"/; s/\"g7\"/\"a-guest-with-a-name-that-is-longer-than-any-phone-is-wide-$(printf '%064d' 7)\"/" plan.toml
ferry fleet submit plan.toml --name "$name"
page
echo 0 >fake/seconds
echo "copy: no room on <g2> & 'others'" >fake/fail.g2
for guest in g6 g8 g9 g12; do
  ferry fleet pause "$name" $guest
done
ferry fleet cancel "$name" g10
for host in h1 h2; do
  work_for $host
  wait "$worker"
done
echo 30 >fake/seconds
ferry fleet resume "$name" g6
ferry fleet resume "$name" g12
work_for h2
until_true 20 is_running
if [[ ${VMFERRY_LONG-ON} == ON ]]; then
  page chromium
else
  page # the browser is for tools/check --long
fi
python3 - <<'END'
import json
totals = json.load(open("status.json"))["totals"]
assert [totals[state] for state in ("done", "failed", "running", "pending", "paused", "cancelled")] == [6, 1, 1, 1, 2, 1], totals
END

# One figure that differs is found.
sed 's,<td class=n>1</td>,<td class=n>2</td>,' page.html >other.html
expect 1 "Wave is '2'" "$ROOT/tests/fleet/check-page" other.html status.json
