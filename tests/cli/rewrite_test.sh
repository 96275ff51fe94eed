# SPDX-License-Identifier: LGPL-2.1-or-later
# The command around the rewriting: input, output, choices, notes, refusals.
cp "$ROOT/xml/one-disk.xml" web1.xml
cp "$ROOT/xml/cdrom-floppy.xml" legacy.xml
cp "$ROOT/xml/qcow2-encrypted.xml" vault.xml
uuid=6a1b2c3d-0f4e-4a5b-8c6d-7e8f90a1b2c3

# Standard input and output, a file, both at once.
ferry rewrite --pool vms <web1.xml >a.xml
ferry rewrite --pool vms - <web1.xml >b.xml
ferry rewrite web1.xml --pool vms -o c.xml >said
[[ ! -s said ]] || fail "wrote to standard output beside -o"
same a.xml b.xml
same a.xml c.xml
grep -q "name='vms/web1-vda'" a.xml || fail "no volume in $(cat a.xml)"

# A file that exists stays, unless forced; then it may be the input itself.
expect 1 "c.xml: create: the file exists" ferry rewrite web1.xml --pool other -o c.xml
same a.xml c.xml
cp web1.xml d.xml
expect 0 "" ferry rewrite d.xml --pool vms -o d.xml --force
same a.xml d.xml
expect 1 "No such file" ferry rewrite nope.xml --pool vms -o e.xml
expect 1 "its directory does not exist" ferry rewrite web1.xml --pool vms -o nowhere/e.xml
if [[ -w /dev/full ]]; then
  full() {
    ferry rewrite web1.xml --pool vms >/dev/full
  }
  expect 1 "standard output: write: No space left" full
fi

# What stays is said, once, on standard error.
ferry rewrite legacy.xml --pool vms >out.xml 2>said
[[ $(wc -l <said) == 3 ]] || fail "said $(cat said)"
grep -q "^vmferry: legacy.xml: hdb stays: it is a cdrom$" said || fail "said $(cat said)"
ferry rewrite -q legacy.xml --pool vms >out.xml 2>said
[[ ! -s said ]] || fail "-q said $(cat said)"
ferry rewrite out.xml --pool vms >again.xml 2>said
grep -q "nothing changes" said || fail "said $(cat said)"
same out.xml again.xml

# Exactly the named disks.
expect 1 "legacy.xml: vdz: there is no such disk" ferry rewrite legacy.xml --disk vdz --pool vms
expect 1 "hint: its disks are: hda, hdb, hdc, fda" ferry rewrite legacy.xml --disk vdz --pool vms
expect 1 "legacy.xml: hdb: cannot move: it is a cdrom" ferry rewrite legacy.xml --disk hdb=rbd:vms/cd
ferry rewrite legacy.xml --disk hda=rbd:slow/old-system >out.xml 2>said
grep -q "name='slow/old-system'" out.xml || fail "wrong volume"
[[ ! -s said ]] || fail "listed disks that nobody named: $(cat said)"
expect 0 "name='vms/legacy-hda'" ferry rewrite legacy.xml --disk hda --pool vms
expect 0 "name='vms/7d0c1f5e-3a52-4c8b-9a51-000000000001_vda'" \
  ferry rewrite web1.xml --pool vms --name-template '{uuid}_{dev}'

# Refusals leave no file behind. Usage errors are status 2, others 1.
refused() {
  expect "$1" "$2" ferry rewrite "${@:3}" -o refused.xml
  [[ ! -e refused.xml ]] || fail "a refused run left its output: ${*:3}"
}
refused 1 "vault.xml: vda: is encrypted.*" vault.xml --pool vms
refused 1 "hint: .*--drop-encryption" vault.xml --pool vms
refused 1 "namespace" web1.xml --disk vda=rbd:vms/tenant/web1
refused 2 "the pool 'vms/tenant': has a slash" web1.xml --pool vms/tenant
refused 2 "hint: .*namespace" web1.xml --pool vms/tenant
refused 2 "is not told where" web1.xml
refused 2 "does not say where" web1.xml --disk vda
refused 2 "does not name an RBD volume" web1.xml --disk vda=/tmp/x
refused 2 "names a snapshot" web1.xml --disk vda=rbd:vms/web1@monday
refused 2 "options after" web1.xml --disk vda=rbd:vms/web1:id=libvirt
refused 2 "of no use without a Ceph user" web1.xml --pool vms --secret-uuid "$uuid"
refused 2 "has no secret" web1.xml --pool vms --id libvirt
refused 2 "see 'vmferry rewrite --help'" web1.xml --pool vms --id libvirt --secret-uuid "$uuid" --secret-usage x
refused 2 "is not a UUID" web1.xml --pool vms --id libvirt --secret-uuid 6a1b
refused 2 "the monitor '::1': has more than one colon" web1.xml --pool vms --monitor ::1
refused 2 "'{host}' means nothing" web1.xml --pool vms --name-template '{host}'
refused 1 "is the target of another disk" "$ROOT/xml/q35.xml" --pool vms --name-template '{domain}'
refused 2 "io='native' needs" "$ROOT/xml/iotune.xml" --pool vms --io native
refused 2 "cache 'fast'" web1.xml --pool vms --cache fast
refused 2 "absolute path" "$ROOT/xml/back-to-file.xml" --to-file vda=home.raw
refused 1 "is not an RBD disk" web1.xml --to-file vda=/srv/web1.raw
refused 2 "choose one" web1.xml --pool vms --diff --json

# --diff and --json take the place of the definition.
expect 0 "^\+ +<source protocol='rbd' name='vms/web1-vda'/>" ferry rewrite web1.xml --pool vms --diff
ferry rewrite web1.xml --pool vms --diff >changes
patch -s -o patched.xml web1.xml changes
same patched.xml a.xml
grep -q $'\e' changes && fail "colours in a file"
script -qec "'$VMFERRY' rewrite web1.xml --pool vms --diff" /dev/null </dev/null >coloured
grep -q $'\e' coloured || fail "no colours on a terminal"
ferry rewrite a.xml --pool vms --diff -q >changes
[[ ! -s changes ]] || fail "a difference where there is none"
ferry rewrite legacy.xml --pool vms --json -q -o j.xml >report
python3 - report <<'END'
import json, sys
report = json.load(open(sys.argv[1]))
assert report["domain"] == "legacy" and report["output"] == "j.xml", report
assert report["changed"] == [
    {"disk": "hda", "from": "/var/lib/libvirt/images/legacy.qcow2", "to": "rbd:vms/legacy-hda"}], report
assert [d["disk"] for d in report["left"]] == ["hdb", "hdc", "fda"], report
END

# --validate: a definition that libvirt's schema does not know.
sed 's/<devices>/<devices><teleporter\/>/' web1.xml >odd.xml
refused 1 "does not follow libvirt's schema" odd.xml --pool vms --validate
refused 1 "hint: the definition as it was does not" odd.xml --pool vms --validate
expect 0 "" ferry rewrite odd.xml --pool vms
no_leftovers
