# SPDX-License-Identifier: LGPL-2.1-or-later
# Containers that are not read are refused by name, in every command; -f raw says that the bytes are meant as they are.
make_disk disk.raw

refused() { # NAME FILE
  local command
  expect 1 "$2: open: it is a $1 file, which vmferry does not read" ferry convert "$2" out.raw
  expect 1 "hint: .*pass -f raw" ferry convert "$2" out.raw
  [[ ! -e out.raw ]] || fail "$2 was copied"
  for command in info "info --json" map "map --json" "sparsify --in-place" "sparsify --dry-run"; do
    # shellcheck disable=SC2086 # words
    expect 1 "it is a $1 file" ferry $command "$2"
  done
  expect 1 "it is a $1 file" ferry sparsify "$2" out.raw
  expect 2 "it is a $1 file" ferry compare disk.raw "$2"
  expect 2 "it is a $1 file" ferry compare "$2" disk.raw
}

qemu_made() { # NAME FORMAT [OPTIONS]
  qemu-img convert -O "$2" ${3:+-o "$3"} disk.raw "disk.$2"
  cp "disk.$2" before
  refused "$1" "disk.$2"
  same before "disk.$2"
  # What the container is converted to is the container.
  ferry convert -q -f raw "disk.$2" container.raw
  same "disk.$2" container.raw
  rm -f container.raw
}

qemu_made 'qcow \(version 1\)' qcow

# A backing file, too, where its format has to be found out.
qemu-img create -q -f qcow2 -F raw -b disk.qcow over.qcow2
python3 - <<'END' # takes the extension with the format out of the header: "raw" at its place
image = bytearray(open("over.qcow2", "rb").read())
at = image.index(b"\xe2\x79\x2a\xca")
image[at:at + 4] = b"\x6e\x6f\x6e\x65" # an extension that nobody knows
open("over.qcow2", "wb").write(image)
END
expect 1 'disk.qcow: open: it is a qcow \(version 1\) file' ferry convert -f qcow2 over.qcow2 out.raw
expect 1 "hint: .*qemu-img rebase -u -F raw" ferry convert -f qcow2 over.qcow2 out.raw

# What only looks a little like one is a raw disk: a guest's tar archive, text, an MBR.
tar -cf plain.tar disk.raw
ferry convert -q plain.tar copy.raw
same plain.tar copy.raw
for length in 0 1 3 4 64 67 511 512; do
  head -c "$length" disk.raw >"tiny.raw"
  ferry convert -q --force tiny.raw tiny-copy.raw
  same tiny.raw tiny-copy.raw
done
