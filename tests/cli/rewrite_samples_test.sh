# SPDX-License-Identifier: LGPL-2.1-or-later
# Every sample in xml/ becomes its pair, follows libvirt's schema, and a second run changes nothing.
samples=0
while read -r name options; do
  [[ -n $name && $name != '#'* ]] || continue
  eval "arguments=($options)"
  ferry rewrite "$ROOT/xml/$name.xml" "${arguments[@]}" --validate >"$name.rbd.xml" 2>said || fail "$name: $(cat said)"
  same "$name.rbd.xml" "$ROOT/xml/$name.rbd.xml"
  ferry rewrite "$ROOT/xml/$name.rbd.xml" "${arguments[@]}" -q >again.xml
  same again.xml "$ROOT/xml/$name.rbd.xml"
  virt-xml-validate "$name.rbd.xml" domain >said 2>&1 || fail "$name: $(cat said)"
  samples=$((samples + 1))
done <"$ROOT/xml/commands"

# No sample without its line, no line without its sample.
pairs=("$ROOT"/xml/*.rbd.xml)
all=("$ROOT"/xml/*.xml)
((samples >= 25 && samples == ${#pairs[@]} && 2 * samples == ${#all[@]})) ||
  fail "$samples lines, ${#pairs[@]} pairs, ${#all[@]} files"
