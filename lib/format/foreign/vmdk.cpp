// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/format/foreign/image_bytes.h"
#include "lib/format/foreign/prepare.h"
#include "lib/format/foreign/vmdk_descriptor.h"
#include "lib/format/foreign/vmdk_sparse.h"

namespace vmferry {
namespace {

// A descriptor that is a file of its own is a short text; no guest has so small a disk. One of
// which nobody knows that is read as far as QEMU reads it.
constexpr uint64_t kShort = 64 << 10;
constexpr uint64_t kLongest = (1 << 20) - 1;
// QEMU looks for the embedded one there, whatever the header says (vmdk_parent_open).
constexpr uint64_t kEmbeddedAt = 512;
constexpr uint64_t kEmbeddedBytes = 20 * kImageSector;

std::string read_text(const Source& file, uint64_t offset, uint64_t length) {
  const auto bytes = image_bytes(file, offset, length, "descriptor");
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

VmdkDescriptor parse(const Source& file, const std::string& text) {
  VmdkParse parsed = parse_vmdk_descriptor(text);
  if (!parsed.cause.empty()) {
    throw corrupt_image(file, 0, "its descriptor: " + parsed.cause);
  }
  return std::move(parsed.descriptor);
}

void open_parent(QemuImage& image, const VmdkDescriptor& descriptor, FormatGate& gate) {
  if (!descriptor.has_parent()) {
    return;
  }
  if (descriptor.parent_name.empty()) {
    throw unsupported_image(*image.file,
                            "it has only what changed since another image, and does not name that",
                            "export the whole disk, or remove the snapshots first");
  }
  image.backing = gate.open_parent(descriptor.parent_name, image.driver);
}

/// One file with all: what its descriptor says of extents is about itself.
VmdkDescriptor embedded_descriptor(const Source& file, const VmdkSparse& sparse) {
  if (sparse.descriptor_at == 0) {
    throw unsupported_image(file, "it is one part of a split disk",
                            "name the text file that lists the parts, which is called without a "
                            "number at its end");
  }
  if (sparse.descriptor_at != kEmbeddedAt) {
    throw unsupported_image(file, "its descriptor is where QEMU does not look for it");
  }
  const uint64_t held = file.size() - std::min(file.size(), kEmbeddedAt);
  VmdkDescriptor descriptor = parse(
      file,
      read_text(file, kEmbeddedAt, std::min({held, kEmbeddedBytes, sparse.descriptor_bytes})));
  if (descriptor.extents.size() != 1) {
    throw unsupported_image(file, fmt::format("its descriptor lists {} extents, and it is only one",
                                              descriptor.extents.size()));
  }
  return descriptor;
}

bool is_flat(const VmdkExtentLine& extent) {
  return extent.type == "FLAT" || extent.type == "VMFS";
}

void check_extent_line(const Source& file, const VmdkExtentLine& extent) {
  constexpr std::array<std::string_view, 4> kTypes = {"FLAT", "VMFS", "SPARSE", "VMFSSPARSE"};
  if (extent.access == "NOACCESS" ||
      std::find(kTypes.begin(), kTypes.end(), extent.type) == kTypes.end()) {
    throw unsupported_image(file, fmt::format("it has an extent '{} {}', which is not read",
                                              extent.access, printable(extent.type)));
  }
  if (extent.file.empty()) {
    throw corrupt_image(file, 0, "its descriptor: an extent has no name in quotes");
  }
}

void check_flat(const Source& part, const VmdkExtentLine& extent) {
  const uint64_t end = (extent.first_sector + extent.sectors) * kImageSector;
  if (part.size() < end) {
    throw corrupt_image(
        part, part.size(),
        fmt::format("it ends here, but its descriptor says that it has {}", exact_bytes(end)));
  }
}

void check_sparse(const Source& part, const VmdkExtentLine& extent, uint64_t most_tables) {
  if (!is_vmdk_sparse(part)) {
    throw corrupt_image(part, 0, "its descriptor calls it a sparse extent, but it is none");
  }
  if (const VmdkSparse sparse = check_vmdk_sparse(part, most_tables);
      sparse.sectors != extent.sectors) {
    throw corrupt_image(part, 12,
                        fmt::format("it holds {} sectors, but its descriptor says {}",
                                    sparse.sectors, extent.sectors));
  }
}

/// The descriptor as QEMU gets it: what was checked, and no more. Names of files come between the
/// parts.
void add_extent(std::vector<QemuTextPart>& text, const VmdkExtentLine& extent,
                std::shared_ptr<const Source> part) {
  // A part that VMware does not write to is read as all others; QEMU would leave it out.
  text.back().text +=
      fmt::format("RW {} {} \"", extent.sectors, is_flat(extent) ? "FLAT" : "SPARSE");
  text.back().file = std::move(part);
  text.push_back({.text = is_flat(extent) ? fmt::format("\" {}\n", extent.first_sector) : "\"\n"});
}

/// Is the whole file a short text? Then it is nobody's disk. QEMU fills up a sector with zeros.
bool is_file_of_its_own(const Source& file, const std::string& text) {
  const size_t end = std::min(text.find('\0'), text.size());
  return file.size() <= kShort && text.find_first_not_of('\0', end) == std::string::npos;
}

void check_type(const Source& file, const std::string& type) {
  constexpr std::array<std::string_view, 5> kTypes = {"monolithicFlat", "vmfs", "vmfsSparse",
                                                      "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"};
  if (type.empty()) {
    throw unsupported_image(
        file, "it is neither one of VMware's sparse files nor a text that lists them");
  }
  if (std::find(kTypes.begin(), kTypes.end(), type) == kTypes.end()) {
    throw unsupported_image(file,
                            "its descriptor says that it is of the type '" + printable(type) + "'",
                            "types that are read: monolithicSparse, streamOptimized, " +
                                fmt::format("{}", fmt::join(kTypes, ", ")));
  }
}

uint64_t size_of(const VmdkDescriptor& descriptor) {
  uint64_t sectors = 0;
  for (const VmdkExtentLine& extent : descriptor.extents) {
    sectors += extent.sectors;
  }
  return sectors * kImageSector;
}

std::unique_ptr<QemuImage> prepare_split(std::unique_ptr<QemuImage> image, FormatGate& gate) {
  const Source& file = *image->file;
  const std::string text = read_text(file, 0, std::min(file.size(), kLongest));
  const VmdkDescriptor descriptor = parse(file, text);
  check_type(file, descriptor.create_type);
  if (descriptor.extents.empty()) {
    throw corrupt_image(file, 0, "its descriptor lists no extents");
  }
  std::vector<QemuTextPart> safe = {
      {.text = fmt::format("# Disk DescriptorFile\nversion=1\nCID={}\nparentCID={}\n"
                           "createType=\"{}\"\n",
                           descriptor.cid.empty() ? "fffffffe" : descriptor.cid,
                           descriptor.parent_cid.empty() ? "ffffffff" : descriptor.parent_cid,
                           descriptor.create_type)}};
  // One bound for all of them.
  const uint64_t most_tables = TableWalker::kMost / descriptor.extents.size();
  for (const VmdkExtentLine& extent : descriptor.extents) {
    check_extent_line(file, extent);
    auto part = gate.open_extent(extent.file, is_file_of_its_own(file, text));
    is_flat(extent) ? check_flat(*part, extent) : check_sparse(*part, extent, most_tables);
    add_extent(safe, extent, std::move(part));
  }
  image->descriptor = std::move(safe);
  image->size = size_of(descriptor);
  open_parent(*image, descriptor, gate);
  return image;
}

}  // namespace

void describe_vmdk(const Source& file, ImageFacts& facts, std::vector<std::string>& /*damage*/) {
  facts.virtual_size =
      is_vmdk_sparse(file)
          ? check_vmdk_sparse(file).sectors * kImageSector
          : size_of(parse(file, read_text(file, 0, std::min(file.size(), kLongest))));
}

std::unique_ptr<QemuImage> prepare_vmdk(std::unique_ptr<Source> file, FormatGate& gate) {
  auto image = std::make_unique<QemuImage>();
  image->driver = "vmdk";
  image->file = std::move(file);
  if (!is_vmdk_sparse(*image->file)) {
    return prepare_split(std::move(image), gate);
  }
  const VmdkSparse sparse = check_vmdk_sparse(*image->file);
  image->size = sparse.sectors * kImageSector;
  open_parent(*image, embedded_descriptor(*image->file, sparse), gate);
  return image;
}

}  // namespace vmferry
