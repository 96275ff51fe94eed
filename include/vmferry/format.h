// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/history.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

struct Format;

/// What the bytes of an image mean. A value, which any thread may use; one that nobody chose is
/// raw: the bytes are the guest's disk. It compares rows, of which a module has its own: there only
/// name() tells.
class ImageFormat {
 public:
  ImageFormat();
  explicit ImageFormat(const Format& format) : format_(&format) {}

  /// As QEMU and libvirt call it: "raw", "qcow2". Of an OVA, which they do not know, "ova".
  const char* name() const;
  /// The guest's disk is something else than the bytes of the image, and may be in other files.
  bool is_container() const;
  /// A format of others: its images are copied from, and never changed. QEMU reads most of them.
  bool is_foreign() const;
  const Format& row() const { return *format_; }
  bool operator==(const ImageFormat&) const = default;

 private:
  const Format* format_;
};

/// Which internal snapshot of an image to read instead of its disk as it is now. Names and ids live
/// apart: one snapshot's name may be another one's id. Both given: both must fit.
struct SnapshotChoice {
  std::optional<std::string> name;
  std::optional<std::string> id;

  bool is_given() const { return name || id; }
};

/// How the image in a new file is laid out. What is not given is as QEMU has it, but for the
/// format.
struct ImageLayout {
  ImageFormat format = {};
  std::optional<std::string> compression = {};  ///< "zlib" or "zstd"; nothing: none
  std::optional<int> compression_level = {};    ///< as the compression counts them
  std::optional<uint64_t> cluster_size = {};    ///< bytes

  bool operator==(const ImageLayout&) const = default;
};

/// What a new image is beside a disk: a link of a chain, maybe.
struct ImageLink {
  /// The name by which it calls the image that it lies over: what is not written shows that one's
  /// disk, or zeros beyond its end. Empty: it lies over none.
  std::string backing = {};
  ImageFormat backing_format = {};
  std::shared_ptr<const Source> below = nullptr;  ///< that disk, for reading back
  /// The state of a disk that it holds, written down in it. Nothing: of no state that was kept.
  std::optional<Point> point = {};
};

/// The format that has this name in QEMU and libvirt; nothing: vmferry does not read it.
std::optional<ImageFormat> find_format(std::string_view name);

/// The names of all formats that vmferry reads.
std::vector<std::string> format_names();

/// Of these, the names of those in which vmferry makes images.
std::vector<std::string> new_format_names();

}  // namespace VMFERRY_API vmferry
