// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/formats.h"

#include "lib/format/compressed/unpack.h"
#include "lib/format/foreign/foreign.h"
#include "lib/format/foreign/ova.h"
#include "lib/format/foreign/prepare.h"
#include "lib/format/qcow2/qcow2_format.h"
#include "lib/format/qcow2/qcow2_maker.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

bool is_anything(const ImageMarks& /*marks*/) { return true; }

std::unique_ptr<Source> open_raw(std::unique_ptr<Source> file, FormatGate& gate) {
  if (gate.snapshot().is_given()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = file->name(),
                 .action = "look for the snapshot",
                 .cause = "it is raw, and only qcow2 images have snapshots of their own",
                 .hint = "a snapshot of a volume is written rbd:POOL/IMAGE@SNAPSHOT"});
  }
  return file;
}

constexpr FormatMaker kRawMaker = {
    .check =
        [](const ImageLayout& layout, const std::string& object) {
          if (layout != ImageLayout{.format = layout.format}) {
            throw Error({.kind = ErrorKind::kUsage,
                         .object = object,
                         .action = {},
                         .cause = "a raw image has no clusters, and is not compressed",
                         .hint = "leave out --compress, --compression-level and --cluster-size, or "
                                 "add -O qcow2"});
          }
        },
};

/// The first version of qcow has a mark that begins as that of qcow2.
constexpr Format kFormats[] = {
    {.name = "vmdk",
     .title = "VMDK",
     .looks_like = is_vmdk,
     .describe = describe_vmdk,
     .prepare = prepare_vmdk},
    {.name = "vhdx", .title = "VHDX", .looks_like = is_vhdx, .prepare = prepare_vhdx},
    {.name = "vpc", .title = "VHD", .looks_like = is_vhd, .prepare = prepare_vhd},
    {.name = "vdi", .title = "VDI", .looks_like = is_vdi, .prepare = prepare_vdi},
    {.name = "qed",
     .title = "QED",
     .looks_like = is_qed,
     .describe = describe_qed,
     .prepare = prepare_qed},
    {.name = "parallels",
     .title = "Parallels",
     .looks_like = is_parallels,
     .prepare = prepare_parallels},
    {"qcow", "qcow (version 1)", is_qcow1},
    {"dmg", "DMG", is_dmg},
    {"bochs", "Bochs", is_bochs},
    {"cloop", "cloop", is_cloop},
    {"", "gzip", is_gzip, nullptr, nullptr, unpack_gzip},
    {"", "xz", is_xz, nullptr, nullptr, unpack_xz},
    {"", "zstd", is_zstd, nullptr, nullptr, unpack_zstd},
    {"", "bzip2", is_bzip2, nullptr, nullptr, unpack_bzip2},
    {"", "ZIP", is_zip},
    {"", "7-Zip", is_7zip},
    {.name = "ova", .title = "OVA", .looks_like = is_ova, .open = open_ova, .has_disks = true},
    {"qcow2", "qcow2", is_qcow2, open_qcow2_image, describe_qcow2, nullptr, &kQcow2Maker},
    {"raw", "raw", is_anything, open_raw, nullptr, nullptr, &kRawMaker},
};

}  // namespace

std::span<const Format> formats() { return kFormats; }

}  // namespace vmferry
