# SPDX-License-Identifier: LGPL-2.1-or-later
# Names that are not UTF-8, or that would write on the terminal: JSON stays JSON, and messages stay one line.
make_disk disk.raw
readonly latin=$'caf\xe9.raw' evil=$'x\033[2K\rvmferry: done\nhint: rm -rf .raw'
mkdir old

# as_json NAME COMMAND...: one object, UTF-8, that names the image as NAME; all are looked at together below.
as_json() {
  count=$((count + 1))
  printf %s "$1" >"$count.name"
  ferry "${@:2}" >"$count.json" 2>said.txt || fail "status $?: ${*:2} said: $(cat said.txt)"
}
count=0
for name in "$latin" $'"quoted"\001\177\xc2\x9b\xff\xfe\xc3\x28 ü' "$evil"; do
  as_json "$name" convert --json disk.raw "$name"
  same disk.raw "$name"
  as_json "$name" compare --json disk.raw "$name"
  as_json "" map --json "$name"
  as_json "$name" sparsify --dry-run --json "$name"
  as_json "$name" sparsify --in-place --json "$name"
  qemu-img create -q -f qcow2 -F raw -b "./$name" over.qcow2 20000256
  as_json "$name" info --json --backing-chain -f qcow2 over.qcow2
done
as_json "$evil" sparsify --json "$evil" "old/$evil"
python3 - $count <<'END'
import json, sys
for number in range(1, int(sys.argv[1]) + 1):
    text = json.dumps(json.loads(open(f"{number}.json", "rb").read().decode("utf-8")))
    name = json.dumps(open(f"{number}.name", "rb").read().decode("utf-8", "replace"))[1:-1]
    assert name in text, (number, name, text)
END

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
clean convert "$evil.missing" out.raw
clean convert "rbd:$evil" out.raw
clean convert -f "$evil" disk.raw out.raw
clean convert --snapshot "$evil" disk.raw out.raw
clean convert --rate-limit "$evil" disk.raw out.raw
clean convert --allow-file "$evil" -f qcow2 over.qcow2 out.raw
clean "$evil"
clean compare "$evil" disk.raw
truncate -s 1M short.raw
cp short.raw "old/$evil"
clean compare "old/$evil" disk.raw
clean rewrite "$evil" --pool vms
clean rewrite "$ROOT/xml/aarch64.xml" --pool vms --disk "$evil=rbd:vms/x"
clean rewrite "$ROOT/xml/aarch64.xml" --pool "$evil"
clean migrate "$evil" --pool vms --connect test:///default
