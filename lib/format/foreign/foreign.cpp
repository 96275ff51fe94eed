// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/foreign.h"

#include <algorithm>
#include <string_view>

namespace vmferry {
namespace {

using namespace std::string_view_literals;

bool has(std::string_view text, uint64_t offset, std::string_view bytes) {
  return text.size() >= offset && text.substr(offset, bytes.size()) == bytes;
}

/// A descriptor in text, which names the files with the data. What comes before its first line that
/// says something may be empty or a comment (QEMU's vmdk_probe).
bool is_vmdk_descriptor(std::string_view text) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (line.starts_with("# Disk DescriptorFile")) {
      return true;
    }
    if (line.starts_with("version=")) {
      return line == "version=1" || line == "version=2" || line == "version=3";
    }
    const bool is_empty = line.find_first_not_of(' ') == std::string_view::npos;
    if (!is_empty && !line.starts_with('#')) {
      return false;
    }
  }
  return false;
}

}  // namespace

bool is_vmdk(const ImageMarks& marks) {
  constexpr std::string_view kSeSparse = "\x0d\x60\x5e\xca"sv;
  return has(marks.start, 0, "KDMV") || has(marks.start, 0, "COWD") ||
         has(marks.start, 0, kSeSparse) || is_vmdk_descriptor(marks.start);
}

bool is_vhdx(const ImageMarks& marks) { return has(marks.start, 0, "vhdxfile"); }

// A fixed VHD is a raw disk with a footer, one byte shorter where an old Virtual PC made it.
bool is_vhd(const ImageMarks& marks) {
  constexpr std::string_view kCookie = "conectix";
  return has(marks.start, 0, kCookie) || has(marks.end, 0, kCookie) || has(marks.end, 1, kCookie);
}

bool is_vdi(const ImageMarks& marks) { return has(marks.start, 64, "\x7f\x10\xda\xbe"sv); }

bool is_qed(const ImageMarks& marks) { return has(marks.start, 0, "QED\0"sv); }

bool is_parallels(const ImageMarks& marks) {
  return has(marks.start, 0, "WithoutFreeSpace") || has(marks.start, 0, "WithouFreSpacExt");
}

bool is_qcow1(const ImageMarks& marks) { return has(marks.start, 0, "QFI\xfb\0\0\0\x01"sv); }

bool is_dmg(const ImageMarks& marks) { return has(marks.end, 0, "koly"); }

bool is_bochs(const ImageMarks& marks) { return has(marks.start, 0, "Bochs Virtual HD Image"); }

bool is_cloop(const ImageMarks& marks) {
  return has(marks.start, 0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop");
}

bool is_gzip(const ImageMarks& marks) { return has(marks.start, 0, "\x1f\x8b\x08"sv); }

bool is_xz(const ImageMarks& marks) {
  constexpr std::string_view kMark =
      "\xfd"
      "7zXZ\0"sv;
  return has(marks.start, 0, kMark);
}

bool is_zstd(const ImageMarks& marks) { return has(marks.start, 0, "\x28\xb5\x2f\xfd"sv); }

bool is_bzip2(const ImageMarks& marks) {
  constexpr std::string_view kNothing = "\x17\x72\x45\x38\x50\x90"sv;  // compressed
  return has(marks.start, 0, "BZh") &&
         (has(marks.start, 4, "1AY&SY") || has(marks.start, 4, kNothing));
}

bool is_zip(const ImageMarks& marks) { return has(marks.start, 0, "PK\x03\x04"sv); }

bool is_7zip(const ImageMarks& marks) { return has(marks.start, 0, "7z\xbc\xaf\x27\x1c"sv); }

bool is_ova(const ImageMarks& marks) {
  const std::string_view text = marks.start;
  if (!has(text, 257, "ustar")) {
    return false;
  }
  const std::string_view name = text.substr(0, std::min<size_t>(100, text.find('\0')));
  return name.ends_with(".ovf") || name.ends_with(".OVF");
}

}  // namespace vmferry
