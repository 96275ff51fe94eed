# SPDX-License-Identifier: LGPL-2.1-or-later
# What `rewrite` makes is what a real libvirt understands: every sample is defined and read back.
lab="$ROOT/tools/lab"
eval "$("$lab" env)"
on_a() {
  virsh -q -c "$VMFERRY_LAB_HOSTA" "$@"
}
forget() {
  on_a undefine --keep-nvram rewritten
}
trap 'finish forget' EXIT

# All disks of a definition, one fact a line, in their order.
cat >facts.py <<'END'
import sys, xml.etree.ElementTree as tree
disks = tree.parse(sys.argv[1]).getroot().findall("devices/disk")
for disk in disks:
    name = disk.find("target").get("dev")
    print(name, disk.get("type"), disk.get("device", "disk"))
    for tag in ("driver", "source", "target", "serial", "wwn", "blockio", "boot", "address"):
        for element in disk.findall(tag):
            for part in element.iter():
                for key, value in sorted(part.attrib.items()):
                    print(name, tag, part.tag, key, value)
                if part.text and part.text.strip():
                    print(name, tag, part.tag, part.text.strip())
    for tag in ("auth", "readonly", "shareable", "transient", "encryption", "iotune", "mirror"):
        for element in disk.findall(tag):
            print(name, tag, tree.tostring(element, encoding="unicode").split())
END

for pair in "$ROOT"/xml/*.rbd.xml; do
  # One name for all, so that nothing is left behind; and not every machine that tests has KVM.
  sed -e "s|<name>.*</name>|<name>rewritten</name>|" -e "s|<domain type='kvm'|<domain type='qemu'|" "$pair" >defined.xml
  on_a define --validate defined.xml >said 2>&1 || fail "$pair: $(cat said)"
  on_a dumpxml --inactive rewritten >dumped.xml
  python3 facts.py defined.xml | sort >wanted
  python3 facts.py dumped.xml | sort >got
  # libvirt adds defaults, and drops nothing that we wrote.
  missing=$(comm -23 wanted got)
  [[ -z $missing ]] || fail "${pair##*/}: libvirt does not have: $missing"
  # Nor does a second look at what libvirt made of it find a disk that could still move.
  on_a undefine --keep-nvram rewritten
done
