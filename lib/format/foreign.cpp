// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign.h"

#include <algorithm>
#include <string_view>

namespace vmferry {
namespace {

using namespace std::string_view_literals;

struct Mark {
  uint64_t offset;
  std::string_view bytes;
  const char* name;
  const char* qemu_name;
};

// The marks that QEMU's probes look for (block/vmdk.c, vhdx.c, vpc.c, vdi.c, qed.c, parallels.c,
// qcow.c, dmg.c, bochs.c, cloop.c), then those of compressed files and packages, as file(1) has
// them.
constexpr Mark kMarks[] = {
    {0, "KDMV"sv, "VMDK", "vmdk"},
    {0, "COWD"sv, "VMDK", "vmdk"},
    {0, "\x0d\x60\x5e\xca"sv, "VMDK (SEsparse)", "vmdk"},
    {0, "vhdxfile"sv, "VHDX", "vhdx"},
    {0, "conectix"sv, "VHD", "vpc"},
    {64, "\x7f\x10\xda\xbe"sv, "VDI", "vdi"},
    {0, "QED\0"sv, "QED", "qed"},
    {0, "WithoutFreeSpace"sv, "Parallels", "parallels"},
    {0, "WithouFreSpacExt"sv, "Parallels", "parallels"},
    {0, "QFI\xfb\0\0\0\x01"sv, "qcow (version 1)", "qcow"},
    {0, "Bochs Virtual HD Image"sv, "Bochs", "bochs"},
    {0, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop"sv, "cloop", "cloop"},
    {0, "\x1f\x8b\x08"sv, "gzip", ""},
    {0,
     "\xfd"
     "7zXZ\0"sv,
     "xz", ""},
    {0, "\x28\xb5\x2f\xfd"sv, "zstd", ""},
    {4, "1AY&SY"sv, "bzip2", ""},
    {0, "PK\x03\x04"sv, "ZIP", ""},
    {0, "7z\xbc\xaf\x27\x1c"sv, "7-Zip", ""},
};

constexpr uint64_t kSector = 512;

/// Up to `length` bytes; fewer at the end of the file.
std::string read_part(const Source& file, uint64_t offset, uint64_t length) {
  if (offset >= file.size()) {
    return {};
  }
  std::string text(std::min(length, file.size() - offset), '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

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

/// A tar archive whose first file is the description of a machine.
bool is_ova(std::string_view text) {
  if (!has(text, 257, "ustar")) {
    return false;
  }
  const std::string_view name = text.substr(0, std::min<size_t>(100, text.find('\0')));
  return name.ends_with(".ovf") || name.ends_with(".OVF");
}

}  // namespace

std::optional<ForeignFormat> find_foreign_format(const Source& file) {
  const std::string start = read_part(file, 0, 2 * kSector);
  for (const Mark& mark : kMarks) {
    if (has(start, mark.offset, mark.bytes)) {
      return ForeignFormat{mark.name, mark.qemu_name};
    }
  }
  if (is_vmdk_descriptor(start)) {
    return ForeignFormat{"VMDK (a descriptor)", "vmdk"};
  }
  if (is_ova(start)) {
    return ForeignFormat{"OVA", ""};
  }
  // A fixed VHD is a raw disk with a footer, one byte shorter where an old Virtual PC made it; a
  // DMG has all that tells about it there.
  const uint64_t tail = file.size() - std::min(file.size(), kSector);
  const std::string end = read_part(file, tail, kSector);
  if (has(end, 0, "conectix") || has(end, 1, "conectix")) {
    return ForeignFormat{"VHD", "vpc"};
  }
  if (has(end, 0, "koly")) {
    return ForeignFormat{"DMG", "dmg"};
  }
  return std::nullopt;
}

}  // namespace vmferry
