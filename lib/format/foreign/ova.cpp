// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/ova.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "lib/core/printable.h"
#include "lib/core/window_source.h"
#include "lib/format/foreign/image_bytes.h"
#include "lib/format/foreign/ovf.h"
#include "lib/format/foreign/tar.h"

namespace vmferry {
namespace {

constexpr uint64_t kLongestOvf = 4 << 20;
constexpr size_t kMostShown = 16;

std::vector<OvfDisk> disks_in(const Source& file, const std::vector<TarMember>& members) {
  if (members.empty() || members.front().length > kLongestOvf) {
    throw unsupported_image(file, "its first file is not the description of a machine");
  }
  const TarMember& ovf = members.front();
  const auto bytes = image_bytes(file, ovf.offset, ovf.length, "description");
  OvfParse parsed = parse_ovf({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  if (!parsed.cause.empty()) {
    throw corrupt_image(file, ovf.offset, printable(ovf.name) + ": " + parsed.cause);
  }
  if (parsed.disks.empty()) {
    throw unsupported_image(file, "the machine in it has no disks");
  }
  return std::move(parsed.disks);
}

/// "1: web-disk1.vmdk, 2: web-disk2.vmdk"
std::string numbered(const std::vector<OvfDisk>& disks) {
  std::string text;
  for (size_t i = 0; i < std::min(disks.size(), kMostShown); ++i) {
    text += fmt::format("{}{}: {}", i == 0 ? "" : ", ", i + 1,
                        disks[i].file.empty() ? "(empty)" : printable(disks[i].file));
  }
  return text + (disks.size() > kMostShown ? ", ..." : "");
}

const OvfDisk& choose(const Source& file, const std::vector<OvfDisk>& disks,
                      std::optional<unsigned> wanted) {
  if (!wanted && disks.size() == 1) {
    return disks.front();
  }
  const std::string hint = "choose one with --disk N: " + numbered(disks);
  if (!wanted) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = file.name(),
                 .action = "choose a disk",
                 .cause = fmt::format("the machine in it has {} disks", disks.size()),
                 .hint = hint});
  }
  if (*wanted < 1 || *wanted > disks.size()) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = file.name(),
                 .action = fmt::format("choose disk {}", *wanted),
                 .cause = fmt::format("the machine in it has {} of them", disks.size()),
                 .hint = hint});
  }
  return disks[*wanted - 1];
}

void refuse_odd(const Source& file, const OvfDisk& disk) {
  const std::string name = "its disk '" + printable(disk.file) + "' ";
  const char* unpack = "unpack the archive and what is in it first";
  if (disk.file.empty()) {
    throw unsupported_image(file, "this disk has no data: it is empty",
                            "make an empty disk of that size where you need it");
  }
  if (!disk.compression.empty()) {
    throw unsupported_image(file, name + "is compressed (" + printable(disk.compression) + ")",
                            unpack);
  }
  if (disk.is_in_chunks) {
    throw unsupported_image(file, name + "is cut into several files", unpack);
  }
  if (disk.has_parent) {
    throw unsupported_image(file, name + "has only what changed since another one",
                            "export the machine without its snapshots");
  }
}

/// By its file's name.
bool is_called_an_image(std::string name) {
  constexpr std::array<std::string_view, 4> kEnds = {".vmdk", ".vhd", ".vhdx", ".vdi"};
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(kEnds.begin(), kEnds.end(),
                     [&name](std::string_view end) { return name.ends_with(end); });
}

/// A damaged image has no mark, and would be copied as if its bytes were the disk.
void refuse_unmarked(const Source& image, const OvfDisk& disk) {
  if ((disk.is_vmdk || is_called_an_image(disk.file)) && !probe_format(image).is_container()) {
    throw corrupt_image(image, 0,
                        disk.is_vmdk
                            ? "the description calls it a VMDK, but it does not begin as one"
                            : "its name is that of an image, but it does not begin as one");
  }
}

}  // namespace

std::unique_ptr<Source> open_ova(std::unique_ptr<Source> file, FormatGate& gate) {
  const std::shared_ptr<const Source> archive = std::move(file);
  const std::vector<TarMember> members = list_tar(*archive);
  const std::vector<OvfDisk> disks = disks_in(*archive, members);
  const OvfDisk& disk = choose(*archive, disks, gate.disk());
  refuse_odd(*archive, disk);
  const auto member = std::find_if(members.begin(), members.end(),
                                   [&disk](const TarMember& one) { return one.name == disk.file; });
  if (member == members.end()) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = archive->name(),
                 .action = "open its disk '" + printable(disk.file) + "'",
                 .cause = "the archive has no file of that name",
                 .hint = "is it a whole copy?"});
  }
  auto image = std::make_unique<WindowSource>(archive, member->offset, member->length,
                                              archive->name() + ":" + printable(disk.file));
  refuse_unmarked(*image, disk);
  return gate.open_inside(std::move(image));
}

}  // namespace vmferry
