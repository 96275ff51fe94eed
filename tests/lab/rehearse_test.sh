# SPDX-License-Identifier: LGPL-2.1-or-later
# Rehearsals of a small machine, beside it and on the other host, from the first sign until nothing is left.
source "$ROOT/tests/lab/rehearse_helpers.sh"

says_more_than() {
  (($(wc -c <"$work/serial.log") > $1))
}

tiny_disk() {
  "$ROOT/tests/lab/boot_sector" "$1" >"$work/sector"
  truncate -s 8M "$2"
  dd if="$work/sector" of="$2" conv=notrunc status=none
}
tiny_disk 'said \x1b[31m\r\ntiny login: \r\n' "$work/vda.raw"
machine mg-rehearse "$(file_disk "$work/vda.raw" vda)
<disk type='file' device='cdrom'><source file='$work/sector'/><target dev='hda' bus='ide'/><readonly/></disk>
<interface type='user'><mac address='52:54:00:12:34:56'/><model type='e1000'/></interface>
<serial type='file'><source path='$work/serial.log'/></serial>
<video><model type='vga'/></video>"
on_a start "$guest"
until_true 20 grep -q login "$work/serial.log"
id=$(on_a domid "$guest")
expect 1 "no sync of it is known" rehearse
synced
synced

# Of a pool that is full by the end of this test.
make_pool mg-rehearse-full
(
  tiny_disk 'full' "$work/full.raw"
  machine mg-rehearse-full "$(file_disk "$work/full.raw" vda)<serial type='pty'/>"
  on_a start "$guest"
  ferry sync -q "$guest" --connect "$VMFERRY_LAB_HOSTA" --pool mg-rehearse-full --id libvirt --secret-uuid "$secret" --state-dir "$state"
)
ceph osd pool set-quota mg-rehearse-full max_objects 1 >/dev/null 2>&1

# A login prompt, and what the screen shows. The copy's console is not the guest's file.
said=$(rehearse --wait login --screenshot screen 2>steps) || fail "$said $(cat steps)"
for line in "$guest: its copy came up: its console showed a login prompt after [0-9.]+ s" "from rbd:rbd/$guest-vda@vmferry-sync-2" \
  "ran on hosta with 64.0 MiB|ran on hosta with 64 MiB" "screenshot: screen \(image/" "without the network of interface \(user\) 52:54:00:12:34:56: the card has a new address" \
  "without the medium of cdrom hda"; do
  grep -Eq -- "$line" <<<"$said" || fail "no '$line' in: $said"
done
file screen | grep -E "PNG image data|Netpbm image data" || fail "$(file screen)"
cleared
expect 1 "the file exists" rehearse --screenshot screen
expect 1 "there is no directory /nodir" rehearse --screenshot /nodir/screen

# What a guest says reaches nobody's terminal as it is.
rehearse --wait login --json >result 2>/dev/null
python3 - <<'END'
import json
told = json.load(open("result"))
assert told["came_up"] is True and told["sign"] == "login" and told["written_bytes"] == 0, told
assert "said ?[31m" in told["console"] and told["console"][-1].startswith("tiny login:"), told
assert told["copy"] == "mg-rehearse-rehearsal" and told["memory_bytes"] == 64 << 20 and "no_screenshot" not in told, told
END

# What runs meanwhile: another name, UUID and address, no network, no file of the guest.
rehearse_in_background --wait 300 --json
on_a dumpxml "$guest-rehearsal" >copy.xml
[[ $(on_a domuuid "$guest-rehearsal") != "$(on_a domuuid "$guest")" ]]
grep -q "name='rbd/$guest-vda-rehearsal'" copy.xml
grep -q "<link state='down'/>" copy.xml
! grep -E "$work|52:54:00:12:34:56|type='user'" copy.xml || fail "the copy has something of the guest"
[[ $(on_a dominfo "$guest-rehearsal") == *"Persistent:"*no* ]]
[[ $(rbd info "rbd/$guest-vda-rehearsal") == *"parent: rbd/$guest-vda@vmferry-sync-2"* ]]
expect 1 "another vmferry is rehearsing it" rehearse
# Its volumes stay until then: nothing is begun that cannot be ended.
give_up=(ferry sync --stop "$guest" --connect "$VMFERRY_LAB_HOSTA" --state-dir "$state" --remove-volumes)
before=$(on_a dumpxml "$guest")
for look in "" --check --dry-run; do
  expect 1 "FAILED +rehearsal: a rehearsal of it runs" "${give_up[@]}" $look
done
# Ctrl-C: all of it goes.
kill -INT "$rehearser"
ended_with 130
cleared

# Somebody pulls its plug.
rehearse_in_background --wait 300 --json
on_a destroy "$guest-rehearsal"
ended_with 1
python3 - <<'END'
import json
told = json.load(open("result"))
assert told["came_up"] is False and told["why_not"] == "it went off by itself" and told["sign"] == "running", told
assert "left_behind" not in told and isinstance(told["written_bytes"], int), told
END
cleared

# Killed: libvirt destroys the copy; the next rehearsal removes the clone first. This one runs on the other host.
rehearse_in_background --wait 300
kill -9 "$rehearser"
ended_with 137
[[ -s $state/$guest.rehearsal ]] || fail "no record is left"
until_true 30 no_copy "$VMFERRY_LAB_HOSTA"
rehearse --wait 2 --to "$VMFERRY_LAB_HOSTB" --memory 48M >result 2>steps || fail "$(cat steps result)"
grep -q "removing what a rehearsal left that was killed" steps
grep -Eq "came up: it ran after [2-9]" result || fail "$(cat result)"
grep -q "ran on hostb with 48" result || fail "$(cat result)"
cleared
rehearse_in_background --wait 300
kill -9 "$rehearser"
ended_with 137
expect 1 "remove these: vmferry rehearse --clean $guest" "${give_up[@]}"
expect 0 "what the rehearsal left is removed" rehearse --clean
expect 0 "no rehearsal left anything" rehearse --clean
cleared

# A volume that no rehearsal made stays, and so does a machine.
rbd create --size 1M "rbd/$guest-vda-rehearsal"
expect 1 "no rehearsal that is known made it" rehearse --wait 1
rbd info "rbd/$guest-vda-rehearsal" >/dev/null
rbd rm --no-progress "rbd/$guest-vda-rehearsal"
cleared

# Nor do they go while they have a clone that no rehearsal made, also of a snapshot in the trash.
rbd clone --rbd-default-clone-format 2 "rbd/$guest-vda@vmferry-sync-1" "rbd/$guest-other"
rbd snap rm --no-progress "rbd/$guest-vda@vmferry-sync-1"
expect 1 "volume rbd:rbd/$guest-vda: rbd/$guest-other needs its data" "${give_up[@]}"
rbd rm --no-progress "rbd/$guest-other"
[[ $(on_a dumpxml "$guest") == "$before" ]] || fail "the guest was touched"

[[ $(on_a domid "$guest") == "$id" ]] || fail "the guest is another now"
said=$(wc -c <"$work/serial.log")
until_true 10 says_more_than "$said"
expect 0 "" "${give_up[@]}" -q
! rbd info "rbd/$guest-vda" 2>/dev/null || fail "the volume is left"

# A disk with nothing on it does not boot.
truncate -s 8M empty.raw
machine mg-rehearse-empty "$(file_disk "$work/empty.raw" vda)<serial type='pty'/>"
on_a start "$guest"
synced
on_a destroy "$guest"
expect 1 "its copy did not come up: its console showed no login prompt within 6 s" rehearse --wait login --timeout 6
cleared
expect 2 "it has no channel to a guest agent" rehearse --wait agent
cleared

# UEFI variables are copied to a volume of the copy's own. The processor runs in circles here, which is enough.
head -c 128K /dev/zero >code.fd
head -c 128K /dev/urandom >vars.fd
sha256sum vars.fd >vars.sum
truncate -s 8M uefi.raw
machine mg-rehearse-uefi "$(file_disk "$work/uefi.raw" vda)" "<features><acpi/></features>"
on_a dumpxml "$guest" | sed "s,</type>,&<loader readonly='yes' type='pflash'>$work/code.fd</loader><nvram>$work/vars.fd</nvram>," >uefi.xml
on_a define uefi.xml
on_a start "$guest"
synced
on_a destroy "$guest"
rehearse_in_background --wait 4
[[ $(rbd export --no-progress "rbd/$guest-vda-nvram-rehearsal" - | sha256sum) == "$(cut -d' ' -f1 vars.sum)  -" ]] || fail "not the variables"
on_a qemu-monitor-command "$guest-rehearsal" --hmp "info block" | grep "$guest-vda-nvram-rehearsal"
ended_with 0
sha256sum -c --quiet vars.sum
cleared

# Where nothing could be made nothing is said to be left.
guest=mg-rehearse-full
until_true 60 eval 'ceph osd pool ls detail | grep "mg-rehearse-full.*full_quota"'
rehearse --wait 1 >result 2>&1 && fail "it went in a full pool"
grep -q "quota exceeded.*is full" result || fail "$(cat result)"
! grep -E "could not be removed|hint: .*--clean" result || fail "of what was not made: $(cat result)"
[[ ! -e $state/$guest.rehearsal ]] || fail "a record is left"
