# SPDX-License-Identifier: LGPL-2.1-or-later
# A checksum of the file as it is stored is checked before anything is made of it.
source "$ROOT/tests/cli/http_helpers.sh"
make_disk files/disk.raw
truncate -s 20000256 files/disk.raw # qcow2 has whole sectors
qemu-img convert -c -O qcow2 files/disk.raw files/disk.qcow2
serve web
web=http://127.0.0.1:$(<web.port)
mkdir tmp
good=sha256:$(sha256sum files/disk.qcow2 | cut -d' ' -f1)
long=SHA512:$(sha512sum files/disk.qcow2 | cut -d' ' -f1)
long=${long/SHA/sha}
bad=sha256:$(sha256sum files/disk.raw | cut -d' ' -f1)

for source in "$web/disk.qcow2" files/disk.qcow2; do
  for sum in "$good" "${good^^}" "$long"; do
    ferry convert -q --tmp tmp --checksum "${sum/SHA256/sha256}" "$source" out.raw
    same files/disk.raw out.raw
    rm out.raw
  done
  expect 1 "disk.qcow2: check its checksum: it is $good, not the one given" ferry convert --checksum "$bad" "$source" out.raw
  [[ ! -e out.raw ]] || fail "it was copied"
  no_leftovers
done

# From a server it comes once, in order; and nothing stays.
: >web.log
ferry convert -q --tmp tmp --checksum "$good" "$web/disk.qcow2" out.raw
rm out.raw
size=$(stat -c %s files/disk.qcow2)
(($(sent web) <= size + 1)) || fail "$(sent web) bytes of $size travelled"
[[ -z $(ls tmp) ]] || fail "left in tmp: $(ls tmp)"
ferry convert -q --tmp tmp --checksum "$good" "$web/cut=1000000/disk.qcow2" out.raw
same files/disk.raw out.raw
rm out.raw

# A local file has to stay as it was summed up.
"$VMFERRY" convert -j 1 --rate-limit 2M --checksum "$good" files/disk.qcow2 out.raw >said 2>&1 &
run=$!
until_true 10 test -s .out.raw.vmferry-partial
touch files/disk.qcow2
status=0
wait "$run" || status=$?
[[ $status == 1 && ! -e out.raw ]] || fail "status $status: $(cat said)"
grep -q "something wrote to it meanwhile" said || fail "$(cat said)"

# No room: that is said before a byte travels.
: >web.log
truncate -s 8E files/huge 2>/dev/null || truncate -s 1P files/huge 2>/dev/null || truncate -s 15T files/huge
expect 1 "tmp: look for room for the file to check: it has .*B, and there are" ferry convert --tmp tmp --checksum "$good" "$web/huge" out.raw
expect 1 "nosuch: ask for its free space: No such file" ferry convert --tmp nosuch --checksum "$good" "$web/disk.qcow2" out.raw
(($(sent web) < 1000000)) || fail "it was fetched all the same"

for sum in "" sha256 sha256: sha256:12 md5:d41d8cd98f00b204e9800998ecf8427e "sha256:${good#sha256:}0" "sha256:${good/[0-9]/g}" "$good,"; do
  expect 2 "checksum" ferry convert --checksum "$sum" files/disk.qcow2 out.raw
done
expect 2 "--tmp requires --trim or --checksum" ferry convert --tmp tmp files/disk.qcow2 out.raw
expect 2 "excludes" ferry convert --source-in-use --checksum "$good" files/disk.qcow2 out.raw
