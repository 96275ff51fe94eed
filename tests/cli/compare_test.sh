# SPDX-License-Identifier: LGPL-2.1-or-later
make_disk a.raw
cp --reflink=never --sparse=never a.raw b.raw
expect 0 "the images are the same" ferry compare a.raw b.raw
printf X | dd of=b.raw bs=1 seek=6000000 conv=notrunc status=none
expect 1 "differ, first at byte 6000000" ferry compare a.raw b.raw
expect 1 '"first_difference":6000000' ferry compare --json a.raw b.raw
cp a.raw longer.raw
truncate -s 30M longer.raw
expect 1 "the sizes differ: a.raw is 20000001 bytes, longer.raw is 31457280" ferry compare a.raw longer.raw
expect 0 "the same" ferry compare --ignore-trailing-zeros a.raw longer.raw
printf X | dd of=longer.raw bs=1 seek=31457279 conv=notrunc status=none
expect 1 "differ, first at byte 31457279" ferry compare --ignore-trailing-zeros longer.raw a.raw
expect 2 "No such file" ferry compare a.raw none.raw
expect 2 "see 'vmferry compare --help'" ferry compare a.raw
