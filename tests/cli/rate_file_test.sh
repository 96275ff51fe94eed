# SPDX-License-Identifier: LGPL-2.1-or-later
# A limit of the rate that a file holds, and that changes while it counts.
head -c 8M /dev/urandom >disk.raw
expect 2 "excludes --rate-limit" ferry convert --rate-limit 1M --rate-limit-file rate disk.raw out.raw
expect 1 "rate: read the rate: No such file" ferry convert --rate-limit-file rate disk.raw out.raw
echo fast >rate
expect 2 "it has to hold one size: 50M" ferry convert --rate-limit-file rate disk.raw out.raw
expect 2 "reflink always writes nothing" ferry convert --rate-limit-file rate --reflink always disk.raw out.raw
[[ ! -e out.raw ]] || fail "a target without a rate"

# A minute and more, if nobody did anything.
echo 100K >rate
"$VMFERRY" convert -q --rate-limit-file rate disk.raw out.raw 2>said &
copy=$!
sleep 1
kill -0 "$copy" || fail "it is done already: $(cat said)"
echo nonsense >rate
sleep 2.5
kill -0 "$copy" || fail "a rate that makes no sense is no limit: $(cat said)"
echo 1G >rate
until_true 10 test -e out.raw
wait "$copy" || fail "$(cat said)"
cmp disk.raw out.raw
[[ $(grep -c "the rate stays as it was" said) == 1 ]] || fail "one warning, not: $(cat said)"
