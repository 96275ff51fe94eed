# SPDX-License-Identifier: LGPL-2.1-or-later
# Machines without a system, which stay in their BIOS: they start at once.
# A test sources this after guest_helpers.sh.

# disk_xml PATH DEV [DRIVER_ATTRIBUTES [CHILDREN]]
disk_xml() {
  echo "<disk type='file' device='disk'><driver name='qemu' ${3:-type='raw'}/><source file='$1'/><target dev='$2' bus='virtio'/>${4-}</disk>"
}

# bare NAME DISKS_XML [DEVICES_XML [DOMAIN_XML]]: defines it on hosta, and sets $guest.
bare() {
  guest=$1
  cat >bare.xml <<END
<domain type='qemu'><name>$1</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
${4-}
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>$2${3-}</devices></domain>
END
  on_a define bare.xml >/dev/null
}

# clear_bare: every machine and volume whose name begins with "mb", on both hosts.
clear_bare() {
  local uri domain volume
  for uri in "$VMFERRY_LAB_HOSTA" "$VMFERRY_LAB_HOSTB"; do
    for domain in $(virsh -q -c "$uri" list --all --name | grep '^mb'); do
      virsh -q -c "$uri" destroy "$domain" || true # it may be off
      virsh -q -c "$uri" undefine --managed-save --snapshots-metadata --checkpoints-metadata "$domain"
    done
  done
  for volume in $(rbd ls | grep '^mb'); do
    until_done 60 rbd rm --no-progress "rbd/$volume"
  done
}

# again_bare: the machine is gone, and so are its volumes.
again_bare() {
  clear_bare >/dev/null 2>&1
  rm -rf -- "$state"
}
