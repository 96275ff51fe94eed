// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/format/format.h"

// Checks of images that QEMU reads for us, before it sees them. Images are hostile, and QEMU reads
// what lies beyond the end of a file as zeros; so places that an image names are checked here where
// QEMU does not do it. Other files go through the gate. All throw Error (kCorrupt, kUnsupported).

namespace vmferry {

/// VMDK: "Virtual Disk Format 5.0" of VMware. One file (sparse, also of ESX, or compressed), or a
/// text that lists the files with the data.
std::unique_ptr<QemuImage> prepare_vmdk(std::unique_ptr<Source> file, FormatGate& gate);
void describe_vmdk(const Source& file, ImageFacts& facts, std::vector<std::string>& damage);
/// [MS-VHDX].
std::unique_ptr<QemuImage> prepare_vhdx(std::unique_ptr<Source> file, FormatGate& gate);
/// "Virtual Hard Disk Image Format Specification" of Microsoft. QEMU would take a differencing disk
/// for a dynamic one.
std::unique_ptr<QemuImage> prepare_vhd(std::unique_ptr<Source> file, FormatGate& gate);
/// VirtualBox: include/VBox/vd.h and VDICore.h.
std::unique_ptr<QemuImage> prepare_vdi(std::unique_ptr<Source> file, FormatGate& gate);
/// docs/interop/qed_spec.txt of QEMU.
std::unique_ptr<QemuImage> prepare_qed(std::unique_ptr<Source> file, FormatGate& gate);
void describe_qed(const Source& file, ImageFacts& facts, std::vector<std::string>& damage);
/// docs/interop/parallels.txt of QEMU.
std::unique_ptr<QemuImage> prepare_parallels(std::unique_ptr<Source> file, FormatGate& gate);

}  // namespace vmferry
