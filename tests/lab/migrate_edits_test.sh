# SPDX-License-Identifier: LGPL-2.1-or-later
# A definition that is edited while its machine moves keeps the edit, in every way.
source "$ROOT/tests/lab/guest_helpers.sh"

truncate -s 16M new.raw
head -c 24M /dev/urandom >a.raw

# edited STEP HOST OPTION...: the machine mg-edit moves, is edited in that step, and is on HOST with the edit afterwards.
edited() {
  local step=$1 host=$2 stored
  shift 2
  machine mg-edit "$(file_disk "$work/a.raw" vda)"
  [[ $* == *offline* ]] || on_a start mg-edit >/dev/null
  move_in_background --rate-limit 8M "$@"
  wait_for_step "$step"
  on_a desc mg-edit --config "edited meanwhile" >/dev/null
  on_a setmaxmem mg-edit 128M --config
  on_a attach-disk mg-edit "$work/new.raw" vdb --config >/dev/null
  ended 0 ""
  stored=$(virsh -q -c "$host" dumpxml --inactive mg-edit)
  grep -q "edited meanwhile" <<<"$stored" || fail "$*: the description is lost: $stored"
  grep -q ">131072<" <<<"$stored" || fail "$*: the memory is lost: $stored"
  [[ $(disks "$host" --inactive) == "vda network rbd/mg-edit-vda"$'\n'"vdb file $work/new.raw" ]] || fail "$*: $stored"
}
to_b=(--to "$VMFERRY_LAB_HOSTB")
edited "copy the disks" "$VMFERRY_LAB_HOSTA" --mode offline
machines_down >/dev/null
edited "copy the disks" "$VMFERRY_LAB_HOSTB" --mode offline "${to_b[@]}"
grep -q "edited meanwhile" "$state/mg-edit-source.xml" || fail "not in what is kept, either"
machines_down >/dev/null
edited "copy the frozen" "$VMFERRY_LAB_HOSTA" --method staged
machines_down >/dev/null
edited "copy the frozen" "$VMFERRY_LAB_HOSTB" --method staged "${to_b[@]}"
machines_down >/dev/null
edited "mirror the disks" "$VMFERRY_LAB_HOSTA" --method mirror
machines_down >/dev/null
# While libvirt migrates a guest it lets nobody edit: the edit comes between its end and the end of the old definition.
machine mg-edit "$(file_disk "$work/a.raw" vda)"
on_a start mg-edit >/dev/null
move_in_background --rate-limit 8M --method mirror "${to_b[@]}"
wait_for_step "migrate the guest"
sleep 1
on_a desc mg-edit --config "edited meanwhile" >/dev/null
ended 0 "edited at the source meanwhile"
[[ $(on_b desc mg-edit --config) == "edited meanwhile" ]] || fail "the description is lost"
machines_down >/dev/null

# What the next start would use is not what the guest has: nothing is replaced without a word.
machine mg-edit "$(file_disk "$work/a.raw" vda)"
on_a start mg-edit >/dev/null
on_a dumpxml --inactive mg-edit | sed 's|/a.raw|/new.raw|' >other.xml
on_a define other.xml >/dev/null
expect 1 "FAILED +stored definition: it names $work/new.raw for vda, and the running guest has $work/a.raw" move
no_journal
