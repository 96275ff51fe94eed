# SPDX-License-Identifier: LGPL-2.1-or-later
# Options: each page has those of its command and no others, and what would have no effect is refused.
truncate -s 1M disk.raw

for command in convert compare info map sparsify rewrite migrate; do
  ferry "$command" --help | sed -nE 's/^ +(-[a-zA-Z],)?(--[a-z-]+).*/\2/p' | grep -v '^--help$' | sort -u >told
  # A page names its options in bold, at the beginning of a line.
  grep -E '^\*-' "$ROOT/docs/vmferry-$command.1.scd" | grep -oE -- '\*--[a-z-]+\*' | tr -d '*' | sort -u >written
  diff told written >differences || fail "vmferry $command --help (<) and its page (>): $(cat differences)"
done

useless() {
  local reason=$1
  shift
  expect 2 "$reason" ferry "$@"
}
for option in "--only a" "--ignore a" "--key all:key:x" "--tmp ." "--check-tmpdir warn"; do
  read -ra words <<<"$option"
  useless "${words[0]} requires --trim" convert disk.raw out.raw "${words[@]}"
  useless "${words[0]} requires --trim" sparsify --in-place disk.raw "${words[@]}"
done
useless "--reflink always writes nothing" convert --reflink always --rate-limit 1M disk.raw out.raw
useless "are about a target" sparsify --in-place --reflink never disk.raw
useless "are about a target" sparsify --in-place --verify disk.raw
useless "is not an RBD volume" convert --object-size 4M disk.raw out.raw
for option in --undo --finish --stay; do
  useless "$option requires --recover" migrate web1 "$option"
done
for option in "--parallel 2" --auto-converge "--max-downtime 10" "--listen-address a" "--migration-uri tcp://a" --tls --keep-source-definition; do
  read -ra words <<<"$option"
  useless "${words[0]} is for a move to another host" migrate web1 --pool p "${words[@]}"
done
useless "mean nothing to the files of --to-dir" migrate web1 --to-dir . --object-size 4M
