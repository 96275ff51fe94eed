# SPDX-License-Identifier: LGPL-2.1-or-later
# Images on a web server are read where they are, and only what is used of them travels.
source "$ROOT/tests/cli/http_helpers.sh"
make_disk files/disk.raw
qemu-img convert -O qcow2 files/disk.raw files/disk.qcow2
qemu-img convert -c -O qcow2 files/disk.raw files/small.qcow2
# Half of this file is of a snapshot.
qemu-img create -q -f qcow2 files/two.qcow2 64M
qemu-io -c "write -P 7 0 8M" files/two.qcow2 >io.txt
qemu-img snapshot -c monday files/two.qcow2
qemu-io -c "write -P 8 0 8M" files/two.qcow2 >io.txt
serve web
web=http://127.0.0.1:$(<web.port)

for image in disk.raw disk.qcow2 small.qcow2; do
  : >web.log
  ferry convert -q "$web/$image" out.raw
  qemu-img compare -q -F raw "files/$image" out.raw
  rm out.raw
  ! grep -v '^206 ' web.log || fail "asked for more than parts"
  size=$(stat -c %s "files/$image")
  # Of a container tables that are not needed stay there. The last question, whether it is the same still, costs a byte.
  [[ $image == *.raw ]] || size=$((size - 2))
  (($(sent web) <= size + 1)) || fail "$image: $(sent web) bytes of $size travelled"
  (($(requests web) < 24)) || fail "$image: $(requests web) requests: $(cat web.log)"
done

: >web.log
ferry convert -q --verify -f qcow2 "$web/two.qcow2" out.raw
qemu-img compare -q files/two.qcow2 out.raw
(($(sent web) < 10000000)) || fail "what is of the snapshot travelled, too: $(sent web)"
ferry convert -q --force --snapshot monday -f qcow2 "$web/two.qcow2" out.raw
qemu-img convert -l monday -O raw files/two.qcow2 monday.raw
same monday.raw out.raw
rm out.raw

# The other commands.
expect 0 "the images are the same" ferry compare --ignore-trailing-zeros "$web/small.qcow2" files/disk.raw
expect 1 "the images differ, first at byte" ferry compare "$web/disk.raw" "$web/two.qcow2"
ferry map --json "$web/small.qcow2" >map.json
qemu-img map --output=json files/small.qcow2 >wanted
as_old_qemu map.json wanted
diff map.json wanted >differences || fail "$(cat differences)"
: >web.log
ferry info --json "$web/disk.raw" >info.json
grep -q "\"name\":\"$web/disk.raw\"" info.json || fail "$(cat info.json)"
grep -Eq '"virtual_bytes":20000001' info.json || fail "$(cat info.json)"
! grep -q '"allocated_bytes":[0-9]' info.json || fail "nobody knows what it takes there: $(cat info.json)"
(($(sent web) < 10000000)) || fail "info read $(sent web) bytes"
expect 0 "file size +19.1 MiB|19.1 MiB" ferry info "$web/disk.raw"
ferry sparsify -q "$web/disk.raw" out.raw
same files/disk.raw out.raw
ferry sparsify --dry-run "$web/disk.raw" out.raw >said
rm out.raw

# It is no target.
expect 1 "out.raw: open as a target: such a place can only be read" ferry convert files/disk.raw "$web/out.raw"
expect 1 "hint: name a file, a block device or rbd:POOL/IMAGE" ferry convert files/disk.raw "$web/out.raw"
expect 1 "sparsify in place: such a place cannot give back space" ferry sparsify --in-place "$web/disk.raw"
expect 1 "copy it first" ferry convert --trim "$web/disk.raw" out.raw

# An image from there opens no file of this host.
cp files/disk.raw base.raw
qemu-img create -q -f qcow2 -F raw -b "$PWD/base.raw" files/over.qcow2
expect 1 "the image was only probed as qcow2, so it may not open other files" ferry convert "$web/over.qcow2" out.raw
expect 1 "it lies outside the image's own directory" ferry convert -f qcow2 "$web/over.qcow2" out.raw
qemu-img rebase -u -F raw -b base.raw files/over.qcow2
expect 1 "a relative name has no meaning" ferry convert -f qcow2 "$web/over.qcow2" out.raw
qemu-img rebase -u -F raw -b "$web/disk.raw" files/over.qcow2
expect 1 "only plain files are opened" ferry convert -f qcow2 "$web/over.qcow2" out.raw

# Files of next to nothing.
: >files/empty
printf x >files/one
for name in empty one; do
  ferry convert -q "$web/$name" out.raw
  same "files/$name" out.raw
  rm out.raw
done

# A proxy of the environment is asked; no_proxy counts.
: >web.log
http_proxy=$web no_proxy='' ferry convert -q http://nowhere.invalid/disk.raw out.raw
same files/disk.raw out.raw
grep -q "http://nowhere.invalid/disk.raw" web.log || fail "the proxy was not asked"
rm out.raw
http_proxy=http://127.0.0.1:1 no_proxy=127.0.0.1 ferry info "$web/disk.raw" >said
