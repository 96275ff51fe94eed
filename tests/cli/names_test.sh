# SPDX-License-Identifier: LGPL-2.1-or-later
# Names that are not UTF-8, or that would write on the terminal: JSON stays JSON, and messages stay one line.
make_disk disk.raw
readonly latin=$'caf\xe9.raw' evil=$'x\033[2K\rvmferry: done\nhint: rm -rf .raw'
mkdir old

# as_json STATUS NAME COMMAND...: one object, UTF-8, that names the image as NAME.
as_json() {
  local wanted=$1 name=$2 status=0
  shift 2
  ferry "$@" >got.json 2>said.txt || status=$?
  [[ $status == "$wanted" ]] || fail "status $status: $* said: $(cat said.txt)"
  NAME=$name python3 - <<'END' || fail "$*: $(cat got.json)"
import json, os
text = json.dumps(json.loads(open("got.json", "rb").read().decode("utf-8")))
name = json.dumps(os.environ["NAME"].encode("utf-8", "surrogateescape").decode("utf-8", "replace"))[1:-1]
assert name in text or not name, (name, text)
END
}
for name in "$latin" $'"quoted"\001\177\xc2\x9b\xff\xfe\xc3\x28 ü' "$evil"; do
  as_json 0 "$name" convert --json disk.raw "$name"
  same disk.raw "$name"
  as_json 0 "$name" compare --json disk.raw "$name"
  as_json 0 "$name" info --json "$name"
  as_json 0 "" map --json "$name"
  as_json 0 "$name" sparsify --dry-run --json "$name"
  as_json 0 "$name" sparsify --in-place --json "$name"
  as_json 0 "$name" sparsify --json "$name" "old/$name"
  qemu-img create -q -f qcow2 -F raw -b "./$name" over.qcow2 20000256
  as_json 0 "$name" info --json --backing-chain -f qcow2 over.qcow2
done

# What goes to a terminal has no control characters but ends of lines, and the lines are ours.
clean() { # COMMAND...
  ferry "$@" >said.txt 2>&1 || true
  LC_ALL=C grep -q $'[\001-\010\013-\037\177]\|\xc2\x9b' said.txt && fail "control characters: $* said: $(cat -v said.txt)"
  ! grep -Eq '^(vmferry: done|hint: rm)' said.txt || fail "a name speaks for us: $* said: $(cat said.txt)"
}
clean info "$evil"
clean info --backing-chain -f qcow2 over.qcow2
clean map --view table "$evil"
clean map --view picture "$evil"
clean convert "$evil" "$evil/x"
clean convert --force disk.raw "$evil"
clean convert "$evil.missing" out.raw
clean convert "rbd:$evil" out.raw
clean convert -f "$evil" disk.raw out.raw
clean convert --key-file "$evil" disk.raw out.raw
clean convert --snapshot "$evil" disk.raw out.raw
clean convert --rate-limit "$evil" disk.raw out.raw
clean convert --allow-file "$evil" -f qcow2 over.qcow2 out.raw
clean "$evil"
clean convert disk.raw out.raw "$evil"
clean compare "$evil" disk.raw
truncate -s 1M short.raw
cp short.raw "old/$evil"
clean compare "old/$evil" disk.raw
clean sparsify --in-place "$evil"
clean rewrite "$evil" --pool vms
clean rewrite "$ROOT/xml/aarch64.xml" --pool vms --disk "$evil=rbd:vms/x"
clean rewrite "$ROOT/xml/aarch64.xml" --pool "$evil"
clean migrate "$evil" --pool vms --connect test:///default
