# SPDX-License-Identifier: LGPL-2.1-or-later
# What is found before the first byte moves; each time nothing has changed afterwards.
source "$ROOT/tests/lab/guest_helpers.sh"

start mg-check
before=$(picture)

# refused PATTERN OPTION...: within 30 s, with that message, and without a trace.
refused() {
  local pattern=$1
  shift
  expect 1 "$pattern" timeout 30 bash -c '"$@"' - "${command[@]}" "$@"
  [[ $(picture) == "$before" ]] || fail "not as it was: $(diff <(echo "$before") <(picture))"
}
base=("$VMFERRY" migrate mg-check --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state")
command=("${base[@]}" --pool rbd --id libvirt --secret-uuid "$secret")

# All is well.
expect 0 "" "${command[@]}" --check
expect 0 "freeze the images" "${command[@]}" --dry-run
"${command[@]}" --dry-run --json >plan.json
python3 -c 'import json; plan = json.load(open("plan.json")); assert plan["possible"] and plan["method"] == "staged" and plan["steps"] and plan["checks"], plan'
[[ $(picture) == "$before" ]] || fail "a dry run changed something"

# The secret: not there; without a value; with another one.
command=("${base[@]}" --pool rbd --id libvirt --secret-uuid 11111111-2222-3333-4444-555555555555)
refused "secret" --check
refused "secret"
printf '<secret ephemeral="no" private="no"><uuid>11111111-2222-3333-4444-555555555555</uuid><usage type="ceph"><name>mg test</name></usage></secret>' >secret.xml
on_a secret-define secret.xml >/dev/null
refused "secret"
ceph auth get-key client.admin >key
on_a secret-set-value 11111111-2222-3333-4444-555555555555 --file key >/dev/null 2>&1
refused "secret|key"
on_a secret-undefine 11111111-2222-3333-4444-555555555555 >/dev/null

# The key on this side.
ceph-authtool --create-keyring wrong.keyring --gen-key -n client.libvirt >/dev/null
command=("${base[@]}" --pool rbd --id libvirt --secret-uuid "$secret")
refused "key" --keyring wrong.keyring
printf '[global]\nmon host = 127.0.0.1:1\nkeyring = %s\n' "$VMFERRY_LAB/keyring" >dead.conf
refused "monitors" --ceph-conf dead.conf

# The pool.
command=("${base[@]}" --id libvirt --secret-uuid "$secret")
refused "pool" --pool mg-none
ceph osd pool create mg-plain 8 >/dev/null 2>&1
refused "pool" --pool mg-plain
ceph osd pool rm mg-plain mg-plain --yes-i-really-really-mean-it >/dev/null 2>&1

# Every pool is looked at, not the first disk's only; and the cluster is asked through the monitors that the guest will use.
machine mg-two "$(file_disk "$work/a.raw" vda)$(file_disk "$work/b.raw" vdb)"
truncate -s 16M a.raw b.raw
two=("$VMFERRY" migrate mg-two --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --id libvirt --secret-uuid "$secret" --check)
expect 1 "there is no pool 'mg-none'" "${two[@]}" --disk vda=rbd:rbd/mg-a --disk vdb=rbd:mg-none/mg-b
expect 0 "was written and removed in 'rbd'" "${two[@]}" --pool rbd
expect 1 "asked through the monitors that the guest will use" timeout 60 "${two[@]}" --pool rbd --monitor 127.0.0.1:1
on_a undefine mg-two
guest=mg-check

# The volume's name is taken.
rbd create --size 4G rbd/mg-check-vda
before=$(picture)
command=("${base[@]}" --pool rbd --id libvirt --secret-uuid "$secret")
refused "exists"
rbd rm --no-progress rbd/mg-check-vda
before=$(picture)

# The domain.
expect 1 "no-such-guest" "$VMFERRY" migrate no-such-guest --connect "$VMFERRY_LAB_HOSTA" --pool rbd --state-dir "$state"
expect 1 "" "$VMFERRY" migrate mg-check --connect "qemu:///system?socket=$work/nobody" --pool rbd --state-dir "$state"
on_a snapshot-create-as mg-check snap --disk-only --diskspec vda,file="$guests/mg-check/snap.qcow2" >/dev/null
before=$(picture)
refused "snapshot"
on_a snapshot-delete mg-check snap --metadata >/dev/null

# Somebody of that name at the target.
sed 's|<name>mg-check</name>|<name>mg-check</name><uuid>11111111-2222-3333-4444-555555555555</uuid>|' "$guests/mg-check/domain.xml" >other.xml
on_b define other.xml >/dev/null
before=$(picture)
refused "mg-check" --to "$VMFERRY_LAB_HOSTB"
on_b undefine mg-check
# A secret that only the source has.
on_b secret-undefine "$secret" >/dev/null
refused "secret" --to "$VMFERRY_LAB_HOSTB"
"$lab" secret >/dev/null

no_journal
lives "$VMFERRY_LAB_HOSTA"
