// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/format/format.h"

// The marks of formats that vmferry does not read itself: those that QEMU's probes look for
// (block/vmdk.c, vhdx.c, vpc.c, vdi.c, qed.c, parallels.c, qcow.c, dmg.c, bochs.c, cloop.c), and
// those of compressed files and packages, as file(1) has them.

namespace vmferry {

bool is_vmdk(const ImageMarks& marks);
bool is_vhdx(const ImageMarks& marks);
bool is_vhd(const ImageMarks& marks);
bool is_vdi(const ImageMarks& marks);
bool is_qed(const ImageMarks& marks);
bool is_parallels(const ImageMarks& marks);
bool is_qcow1(const ImageMarks& marks);
bool is_dmg(const ImageMarks& marks);
bool is_bochs(const ImageMarks& marks);
bool is_cloop(const ImageMarks& marks);
bool is_gzip(const ImageMarks& marks);
bool is_xz(const ImageMarks& marks);
bool is_zstd(const ImageMarks& marks);
bool is_bzip2(const ImageMarks& marks);
bool is_zip(const ImageMarks& marks);
bool is_7zip(const ImageMarks& marks);
/// A tar archive whose first file is the description of a machine.
bool is_ova(const ImageMarks& marks);

}  // namespace vmferry
