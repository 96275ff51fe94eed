# SPDX-License-Identifier: LGPL-2.1-or-later
# Bad definitions: a clear error, at once, with little memory, and no output.

# refused PATTERN FILE: in a second of the processor's time, with 256 MiB of address space.
refused() {
  expect 1 "$1" timeout 60 prlimit --cpu=1 --as=268435456 "$VMFERRY" rewrite "$2" --pool vms -o out.xml
  [[ ! -e out.xml ]] || fail "a refused run left its output: $2"
}
devices() {
  echo "<domain type='kvm'><name>t</name><devices>"
  cat
  echo "</devices></domain>"
}
disk="<disk type='file'><source file='/i'/><target dev='vda'/></disk>"

refused "no XML element" /dev/null
refused "is a directory|Is a directory" .
head -c 1000 /dev/urandom >noise
refused "noise: line 1, column" noise
echo "web1" >text
refused "text: line 1, column 1: text where XML should begin" text
echo "<network><name>default</name></network>" >network
refused "network: line 1, column 1: this is a <network>, not a <domain>" network
for wrapper in domstatus domainsnapshot; do
  echo "<$wrapper>$(devices <<<"$disk")</$wrapper>" >"$wrapper"
  refused "this is a <$wrapper>" "$wrapper"
  refused "hint: .*virsh dumpxml" "$wrapper"
done
devices </dev/null >diskless
refused "diskless: this domain has no disks" diskless
devices <<<"$disk"$'\n'"$disk" >twins
refused "twins: line 3, column 1: the target 'vda'" twins
devices <<<"<disk type='file'>" >open
refused "open: line 3, column 1: <disk> is closed by </devices>" open
{
  echo "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>"
  for i in b c d e f g h i; do echo "<!ENTITY $i '&a;&a;&a;&a;&a;&a;&a;&a;'>"; done
  echo "]>"
  devices <<<"&i;"
} >bomb
refused "bomb: line 1, column 1: a document type" bomb
devices <<<"$(head -c 100000 /dev/zero | sed 's/\x0/<a>/g')" >deep
refused "nested deeper" deep
devices <<<"$(head -c 900000 /dev/zero | sed 's/\x0/<a\/>/g')" >crowded
refused "more than .* elements" crowded
printf "<domain type='kvm'><name>caf\xe9</name></domain>" >latin1
refused "latin1: line 1, column 29: the byte 0xe9" latin1
truncate -s 100M huge
refused "huge: is longer than 4 MiB" huge
refused "/dev/zero: is longer than 4 MiB" /dev/zero
{ echo "<domain><!--" && head -c 104857600 /dev/zero | tr '\0' x; } >comment
refused "comment: is longer than 4 MiB" comment
many_disks() {
  for ((i = 0; i < $1; ++i)); do echo "<?p?><disk><source file='/i$i'/><target dev='v$i'/></disk>"; done
}
many_disks 20000 | devices >many
refused "many: line .*: more than 4096 disks" many
# As many as may be.
many_disks 4096 | devices >most
expect 0 "" timeout 60 prlimit --cpu=1 --as=268435456 "$VMFERRY" rewrite most --pool vms -q -o out.xml
[[ $(grep -c "protocol='rbd'" out.xml) == 4096 ]] || fail "not all of them"
no_leftovers
