# SPDX-License-Identifier: LGPL-2.1-or-later
# Options: each page has those of its command and no others, and what would have no effect is refused.
truncate -s 1M disk.raw

# help_of COMMAND: with that of its own commands.
help_of() {
  local help
  help=$(ferry "$1" --help)
  echo "$help"
  while read -r own; do
    ferry "$1" "$own" --help
  done < <(sed -nE '/^Subcommands:/,$s/^  ([a-z]+) .*/\1/p' <<<"$help")
}
for command in bases convert compare fleet info map sparsify rehearse rewrite migrate; do
  help_of "$command" | sed -nE 's/^ +(-[a-zA-Z],)?(--[a-z-]+).*/\2/p' | grep -v '^--help$' | sort -u >told
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
useless "is not an RBD volume" convert --object-size 4M not_there.raw out.raw # before anything is opened
useless "only a file can share the blocks" convert --reflink always not_there.raw rbd:rbd/out
for option in --undo --finish --stay; do
  useless "$option requires --recover" migrate web1 "$option"
done
for option in "--parallel 2" --auto-converge "--max-downtime 10" "--listen-address a" "--migration-uri tcp://a" --tls --keep-source-definition; do
  read -ra words <<<"$option"
  useless "${words[0]} is for a move to another host" migrate web1 --pool p "${words[@]}"
done
for option in "--parallel 2" --auto-converge "--max-pause 10" "--listen-address a" "--migration-uri tcp://a" --tls; do
  read -ra words <<<"$option"
  useless "${words[0]} is for a cutover to another host" cutover web1 "${words[@]}"
  useless "${words[0]} is for a machine that runs on" cutover web1 --to qemu:///x --offline "${words[@]}"
done
useless "--keep-source-definition is for a cutover to another host" cutover web1 --keep-source-definition
useless "--stay excludes --undo|--undo excludes --stay" cutover web1 --recover --stay --undo
useless "--stay requires --recover" cutover web1 --stay
for option in "cutover --at=02:00" "cutover --check" "cutover --dry-run" "sync --every=1h" "sync --check" "sync --dry-run"; do
  read -ra words <<<"$option"
  name=${words[1]%=*}
  useless "--recover excludes $name|$name excludes --recover" "${words[@]}" web1 --recover
done
expect 1 "no journal of a migration" ferry migrate --recover --trace web1 --state-dir .
useless "mean nothing to the files of --to-dir" migrate web1 --to-dir . --object-size 4M
for option in --allow-file=/a --define-secret --secret-uuid=u --secret-usage=u; do
  useless "${option%=*} is for a move to Ceph" migrate web1 --to-dir . "$option"
done
for option in -Oqcow2 --compress=zstd --compression-level=3 --cluster-size=64K; do
  useless "is for a move to files .--to-dir." migrate web1 --pool p "$option"
done
useless "a raw image has no clusters" migrate web1 --to-dir . --compress zstd
useless "a level is given, but no compression" migrate web1 --to-dir . -O qcow2 --compression-level 3
for option in --method=staged --overlay-dir=. --overlay-max=1G --quiesce --timeout=9 --synchronous-writes --tls; do
  useless "${option%=*} is for a machine that runs on" migrate web1 --pool p --mode offline --to qemu:///x "$option"
done
for option in --force-off --no-shutdown --shutdown-timeout=9; do
  useless "${option%=*} is for a machine that is shut down" migrate web1 --pool p --mode live "$option"
done
for option in --overlay-dir=. --overlay-max=1G --quiesce; do
  useless "${option%=*} is for overlays" migrate web1 --pool p --method mirror "$option"
done
useless "--check excludes --dry-run|--dry-run excludes --check" migrate web1 --pool p --check --dry-run
useless "--force requires --svg" map --force disk.raw
useless "--force requires --output" rewrite --force --pool p web1.xml
useless "does not say where the disk shall be" rewrite --to-file vda "$ROOT/xml/back-to-file.xml"
useless "--target-format requires --to-file" rewrite -O raw --pool p web1.xml

# What a value cannot be. An empty one is not as if there were none.
for option in --to --at --every --to-dir --snapshots; do
  command=migrate
  case $option in
    --at) command=cutover ;;
    --every) command=sync ;;
    --snapshots) command=convert ;;
  esac
  expect 2 "$option has an empty value" ferry "$command" web1 "$option" ""
done
expect 2 "DOMAIN has an empty value" ferry cutover ""
expect 2 "a user is named without 'client\.'" ferry info --id client.admin rbd:p/i
expect 2 "a user is named without 'client\.'" ferry rewrite --id client.admin --pool p web1.xml
expect 2 "'0': is not a size: it has to be more than 0" ferry convert --rate-limit 0 disk.raw out.raw
qemu-img create -q -f qcow2 disk.qcow2 1M
expect 1 "disk.qcow2: look for the snapshot: there is none with the name 'nosuch'" ferry info -f qcow2 --snapshot nosuch disk.qcow2
expect 2 "it is raw, and only qcow2 images have snapshots" ferry info -f raw --snapshot nosuch disk.raw
