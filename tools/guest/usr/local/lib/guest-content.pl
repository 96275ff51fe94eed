# SPDX-License-Identifier: LGPL-2.1-or-later

# guest_content NUMBER: what guest-writer puts into the file of that number, 64 to 255 KiB.
sub guest_content {
    my ($number) = @_;
    my $blocks = (64 + $number * 37 % 192) * 2;
    return join '', map { pack('N2', $number, $_) x 64 } 1 .. $blocks;
}

1;
