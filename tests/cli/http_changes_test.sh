# SPDX-License-Identifier: LGPL-2.1-or-later
# What a server serves is of one version, from the first byte to the name of the target, and from one run to the next.
source "$ROOT/tests/cli/http_helpers.sh"
make_disk files/disk.raw
dd if=/dev/urandom of=files/long.raw bs=1M count=40 status=none
serve web
web=http://127.0.0.1:$(<web.port)

# Another version, which the server tells; or does not, and it is seen all the same.
refused "changed meanwhile \(status 412\)" change=3
refused "changed meanwhile: its ETag is" change=3,deaf
refused "changed meanwhile: its Last-Modified is" change=3,deaf,no-etag
refused "changed meanwhile" change=3,no-etag
expect 2 "changed meanwhile" ferry compare "$web/change=3/disk.raw" files/disk.raw

# Ctrl-C does not wait for a server.
"$VMFERRY" convert -q "$web/hang=4/disk.raw" out.raw &
run=$!
until_true 10 grep -q 'hang=4' web.log
sleep 0.5
SECONDS=0
kill -INT "$run"
status=0
wait "$run" || status=$?
((status == 130 && SECONDS < 4)) || fail "status $status after $SECONDS s"
no_leftovers

# A copy that was interrupted is gone on with, unless the object is another one.
partial=.out.raw.vmferry-partial
interrupted() {
  "$VMFERRY" convert -j 1 --checkpoint-every 0.05 --rate-limit 20M "$web/long.raw" out.raw >said 2>&1 &
  run=$!
  until_true 20 grep -Eq 'blocks.*[0-9a-f]{30}' "$partial.notes"
  kill -KILL "$run"
  wait "$run" || true
}
interrupted
expect 0 "beside [0-9.]+ MiB that were there" ferry convert --resume "$web/long.raw" out.raw
same files/long.raw out.raw
rm out.raw
interrupted
touch files/long.raw
expect 1 "another source|it was '" ferry convert --resume "$web/long.raw" out.raw
[[ -e $partial && ! -e out.raw ]] || fail "what was kept is gone"
