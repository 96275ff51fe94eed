# SPDX-License-Identifier: LGPL-2.1-or-later
# A guest that is shut off moves to Ceph by the pipe in vmferry-rewrite(1), starts there, and moves back.
lab="$ROOT/tools/lab"
eval "$("$lab" env)"
undo() {
  "$lab" guest down rewrite
  rbd rm --no-progress rbd/rewrite-vda
}
trap 'finish undo' EXIT
undo >/dev/null 2>&1 || true
on_a() {
  virsh -q -c "$VMFERRY_LAB_HOSTA" "$@"
}
# What the guest has synced is on its disk: that is all this test asks of it.
shut_off() {
  on_a destroy rewrite
}
boot() {
  on_a start rewrite
  until_true 300 "$lab" guest run rewrite true
}

"$lab" guest up rewrite --disk qcow2 --cdrom
"$lab" guest run rewrite sh -c 'echo before >/root/note; sync'
shut_off
secret=$("$lab" secret)
disk="$VMFERRY_LAB/guests/rewrite/vda.qcow2"
on_a dumpxml --inactive rewrite >before.xml
ferry convert -q -f qcow2 "$disk" rbd:rbd/rewrite-vda
on_a dumpxml --inactive rewrite |
  ferry rewrite --pool rbd --monitor "127.0.0.1:$(cat "$VMFERRY_LAB/port")" --id libvirt --secret-uuid "$secret" --validate 2>said |
  on_a define /dev/stdin
grep -q "hda stays: it is a cdrom" said || fail "said: $(cat said)"
mv "$disk" "$disk.away" # what does not need it does not miss it
boot
rbd status rbd/rewrite-vda | grep -q watcher= || fail "the guest does not use its volume"
[[ $("$lab" guest run rewrite cat /root/note) == before ]] || fail "not its disk"
"$lab" guest run rewrite sh -c 'echo after >/root/note; sync'
shut_off

# Nothing but the disk has changed for libvirt.
on_a dumpxml --inactive rewrite >after.xml
diff <(sed "/<disk/,/<\/disk>/d" before.xml) <(sed "/<disk/,/<\/disk>/d" after.xml) || fail "more than disks changed"

ferry convert -q rbd:rbd/rewrite-vda "$disk.back"
mv "$disk.back" "${disk%.qcow2}.raw"
on_a dumpxml --inactive rewrite | ferry rewrite --to-file "vda=${disk%.qcow2}.raw" | on_a define /dev/stdin
boot
[[ $("$lab" guest run rewrite cat /root/note) == after ]] || fail "not the volume's content"
if rbd status rbd/rewrite-vda | grep -q watcher=; then fail "the guest still uses its volume"; fi
