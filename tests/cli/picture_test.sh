# SPDX-License-Identifier: LGPL-2.1-or-later
# The picture on a terminal and the drawing: sizes, marks, and what they do with hostile names.
truncate -s 1G disk.raw
sfdisk -q disk.raw <<'END'
label: gpt
start=2048, size=204800, type=U, name="EFI & <boot>"
start=206848, size=1048576, name="root"
END
mke2fs -q -t ext4 -L 'a<b>&"c' -E offset=$((206848 * 512)) disk.raw 512M
dd if=/dev/urandom of=disk.raw bs=1M seek=2 count=60 conv=notrunc status=none

export LC_ALL=C.UTF-8
ferry map --view picture disk.raw >shown
grep -q '^disk.raw: raw, 1.0 GiB, .* of data' shown || fail "no title: $(cat shown)"
grep -q 'a character is 1 MiB: · no data' shown || fail "no legend: $(cat shown)"
grep -Eq '^ +1▔' shown || fail "no mark of partition 1: $(cat shown)"
grep -Eq '^ +2 +101 MiB +512.0 MiB .*ext4 +a<b>&"c$' shown || fail "no partition 2: $(cat shown)"
[[ $(wc -L <shown) -le 80 ]] || fail "wider than a terminal"
grep -q $'\033' shown && fail "colours in a file"
LC_ALL=C ferry map --view picture disk.raw | LC_ALL=C grep -q '[^ -~]' && fail "more than ASCII in the locale C"

# On a terminal a picture comes unasked, in colour unless that is not wanted.
script -qec "stty cols 100; '$VMFERRY' map disk.raw" /dev/null </dev/null >terminal
grep -q $'\033\[38;5;' terminal || fail "no colours on a terminal"
TERM=xterm NO_COLOR=1 script -qec "'$VMFERRY' map disk.raw" /dev/null </dev/null >terminal
grep -q $'\033' terminal && fail "colours in spite of NO_COLOR"
grep -q '█' terminal || fail "no picture on a terminal"

# The drawing is well-formed, of one width, and complete when it has its name.
ferry map --svg disk.svg disk.raw >said
[[ ! -s said ]] || fail "said something: $(cat said)"
python3 - <<'END'
import xml.etree.ElementTree as tree
svg = tree.parse("disk.svg").getroot()
assert svg.get("width") == "800" and svg.get("viewBox").startswith("0 0 800 "), svg.attrib
text = [t for t in svg.itertext()]
assert any('a<b>&"c' in t for t in text), text
assert any("1.0 GiB" in t for t in text), text
END
expect 1 "disk.svg" ferry map --svg disk.svg disk.raw
ferry map --force --svg disk.svg disk.raw
# The image, or one below it, is not drawn over.
cp --sparse=always disk.raw kept.raw
qemu-img create -q -f qcow2 -F raw -b disk.raw over.qcow2
expect 1 "disk.raw: .*the source is backed by it" ferry map --force --svg disk.raw disk.raw
expect 1 "disk.raw: .*the source is backed by it" ferry map -f qcow2 --force --svg disk.raw over.qcow2
same disk.raw kept.raw
expect 1 "/dev/null: .*it is not a file" ferry map --force --svg /dev/null disk.raw
no_leftovers
[[ $(stat -c %s disk.svg) -lt 300000 ]] || fail "the drawing is large"

# Disks that are nearly nothing.
for size in 0 1 511 4096 1000001; do
  truncate -s $size small.raw
  ferry map --force --svg small.svg small.raw
  python3 -c 'import xml.etree.ElementTree as t; t.parse("small.svg")'
  ferry map --view picture small.raw >/dev/null
done
