# SPDX-License-Identifier: LGPL-2.1-or-later
# Servers of the directory files/, for tests of what is read over HTTP. The helpers below use the one at $web.
mkdir files
servers=()
trap 'finish "kill ${servers[*]}"' EXIT

# serve NAME [OPTION...]: a server whose port is in NAME.port, and what it was asked for in NAME.log.
serve() {
  "$ROOT/tests/cli/range_server" --port-file "$1.port" --log "$1.log" "${@:2}" files &
  servers+=($!)
  until_true 10 test -s "$1.port"
  : >"$1.log"
}

# What the server NAME has sent since its log was emptied, in bytes.
sent() {
  awk '{ sum += $2 } END { print sum + 0 }' "$1.log"
}
requests() {
  wc -l <"$1.log"
}

# Counters are those of one address, so each run has one of its own.
runs=0
refused() { # PATTERN WAY [OPTION...]
  local pattern=$1 way=$2,run=$((++runs))
  shift 2
  expect 1 "$pattern" ferry convert "$@" "$web/$way/disk.raw" out.raw
  [[ ! -e out.raw ]] || fail "$way: it was copied"
  no_leftovers
}
copied() { # WAY [OPTION...]
  local way=$1,run=$((++runs))
  shift
  ferry convert -q "$@" "$web/$way/disk.raw" out.raw
  same files/disk.raw out.raw
  rm out.raw
}
