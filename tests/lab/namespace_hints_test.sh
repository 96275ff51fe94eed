# SPDX-License-Identifier: LGPL-2.1-or-later
# A command that a message shows is about the very volume: with its namespace, and in quotes where a shell needs them.
eval "$("$ROOT/tools/lab" env)"
tidy() {
  [[ -z ${watcher:-} ]] || { echo >&"${COPROC[1]}" && wait "$watcher"; }
  (until_true 40 rbd rm --no-progress 'rbd/nh/with space')
  rbd namespace rm rbd/nh
}
trap 'finish tidy' EXIT
rbd namespace create rbd/nh
rbd create --size 1M 'rbd/nh/with space'

expect 2 "'rbd ls rbd/nh'" ferry compare rbd:rbd/nh/none rbd:rbd/nh/none
for command in info map "sparsify --in-place"; do
  # shellcheck disable=SC2086 # one has two words
  expect 1 "'rbd ls rbd/nh'" ferry $command rbd:rbd/nh/none
done
expect 1 "'rbd snap ls rbd/nh/none'" ferry info rbd:rbd/nh/none@monday
expect 1 "'rbd snap ls 'rbd/nh/with space''" ferry info 'rbd:rbd/nh/with space@monday'

coproc rbd watch 'rbd/nh/with space'
watcher=$COPROC_PID
until_true 10 is_watched 'rbd/nh/with space'
expect 1 "'rbd status 'rbd/nh/with space''" ferry sparsify --in-place 'rbd:rbd/nh/with space'
