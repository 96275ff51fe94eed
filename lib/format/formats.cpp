// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/formats.h"

#include <algorithm>
#include <iterator>

#include "lib/format/foreign/foreign.h"
#include "lib/format/qcow2/qcow2_format.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

bool is_anything(const ImageMarks& /*marks*/) { return true; }

std::unique_ptr<Source> open_raw(std::unique_ptr<Source> file, FormatGate& gate) {
  gate.seen(*file, nullptr);
  if (gate.snapshot().is_given()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = file->name(),
                 .action = "look for the snapshot",
                 .cause = "it is raw, and only qcow2 images have snapshots of their own",
                 .hint = "a snapshot of a volume is written rbd:POOL/IMAGE@SNAPSHOT"});
  }
  return file;
}

/// All formats there are, in the order in which an image is looked at. The first version of qcow
/// has a mark that begins as that of qcow2; everything could be raw.
constexpr Format kFormats[] = {
    {"vmdk", "VMDK", is_vmdk},
    {"vhdx", "VHDX", is_vhdx},
    {"vpc", "VHD", is_vhd},
    {"vdi", "VDI", is_vdi},
    {"qed", "QED", is_qed},
    {"parallels", "Parallels", is_parallels},
    {"qcow", "qcow (version 1)", is_qcow1},
    {"dmg", "DMG", is_dmg},
    {"bochs", "Bochs", is_bochs},
    {"cloop", "cloop", is_cloop},
    {"", "gzip", is_gzip},
    {"", "xz", is_xz},
    {"", "zstd", is_zstd},
    {"", "bzip2", is_bzip2},
    {"", "ZIP", is_zip},
    {"", "7-Zip", is_7zip},
    {"", "OVA", is_ova},
    {"qcow2", "qcow2", is_qcow2, open_qcow2_image},
    {"raw", "raw", is_anything, open_raw},
};
constexpr const Format& kRaw = kFormats[std::size(kFormats) - 1];

constexpr uint64_t kStart = 1024;
constexpr uint64_t kEnd = 512;

std::string read_part(const Source& file, uint64_t offset, uint64_t length) {
  std::string text(length, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace

ImageFormat::ImageFormat() : format_(&kRaw) {}

const char* ImageFormat::name() const { return format_->name; }

bool ImageFormat::is_container() const { return format_ != &kRaw; }

std::optional<ImageFormat> find_format(std::string_view name) {
  const auto* const found = std::find_if(
      std::begin(kFormats), std::end(kFormats),
      [name](const Format& format) { return format.open != nullptr && format.name == name; });
  if (found == std::end(kFormats)) {
    return std::nullopt;
  }
  return ImageFormat(*found);
}

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const Format& format : kFormats) {
    if (format.open != nullptr) {
      names.emplace_back(format.name);
    }
  }
  std::reverse(names.begin(), names.end());  // the plainest first
  return names;
}

ImageFormat probe_format(const Source& file) {
  const uint64_t size = file.size();
  const uint64_t end = std::min(size, kEnd);
  const ImageMarks marks = {.start = read_part(file, 0, std::min(size, kStart)),
                            .end = read_part(file, size - end, end)};
  return ImageFormat(*std::find_if(std::begin(kFormats), std::end(kFormats),
                                   [&](const Format& format) { return format.looks_like(marks); }));
}

}  // namespace vmferry
