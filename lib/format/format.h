// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <any>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/core/secret.h"
#include "lib/format/qemu_image.h"
#include "vmferry/format.h"
#include "vmferry/image_facts.h"
#include "vmferry/source.h"
#include "vmferry/stream.h"
#include "vmferry/target.h"

namespace vmferry {

/// All that a format may want besides the bytes of its image: the rest of the world. A format opens
/// nothing itself. The one who opens the image decides what it may have. One thread.
class FormatGate {
 public:
  virtual ~FormatGate() = default;

  /// What the guest sees of the image that this one calls `stored_name`, with `stored_format` for
  /// it if it says so; both unchecked. Throws Error where it may not be opened.
  virtual std::shared_ptr<const Source> open_backing(
      const std::string& stored_name, const std::optional<std::string>& stored_format) = 0;
  /// The same for a file with its data.
  virtual std::shared_ptr<const Source> open_data_file(const std::string& stored_name) = 0;
  /// The same for an image that QEMU shall read together with this one. Nothing for its format:
  /// probed.
  virtual std::unique_ptr<QemuImage> open_parent(
      const std::string& stored_name, const std::optional<std::string>& stored_format) = 0;
  /// The same for a part of the data, which lies in a file that a list in the image names.
  /// `no_guest_wrote_it`: the list is a file of its own, so that names of neighbours that are made
  /// of its own name may be followed though the format was probed.
  virtual std::shared_ptr<const Source> open_extent(const std::string& stored_name,
                                                    bool no_guest_wrote_it) = 0;
  /// What the guest sees of a whole image that lies in this one. Its format is probed; one that has
  /// disks of its own is refused.
  virtual std::unique_ptr<Source> open_inside(std::unique_ptr<Source> image) = 0;
  /// Of every encrypted image of the chain; nothing: none was given. Throws Error.
  virtual std::optional<Secret> passphrase() = 0;

  /// Which disk of the image is wanted; nothing is given for one below another.
  virtual const SnapshotChoice& snapshot() const = 0;
  /// Which one of several disks, from 1 on; nothing: the user did not say.
  virtual std::optional<unsigned> disk() const = 0;
  /// Read it in spite of a mark that it is damaged.
  virtual bool force_corrupt() const = 0;
  /// What the images of one chain share: empty at first, the format's own.
  virtual std::any& shared() = 0;

  /// What a user should know.
  virtual void warn(const std::string& text) = 0;
};

/// Where formats have their marks: the first 1024 bytes of an image and its last 512. Shorter in a
/// shorter one, and where they are not known yet.
struct ImageMarks {
  static constexpr uint64_t kStart = 1024;
  static constexpr uint64_t kEnd = 512;
  std::string start;
  std::string end;
};

/// How new images of a format are made.
struct FormatMaker {
  /// Throws Error kUsage, about `object`, where the format has no such layout.
  void (*check)(const ImageLayout& layout, const std::string& object) = nullptr;
  /// Throws Error kUsage, about `object`, where the layout has no disks of `size` bytes. REQUIRES:
  /// check() passed.
  void (*check_size)(const ImageLayout& layout, uint64_t size, const std::string& object) = nullptr;
  /// Throws Error kUsage, about `object`, where such an image cannot say what `link` does. Null: no
  /// image of the format lies over another. REQUIRES: check() passed.
  void (*check_link)(const ImageLayout& layout, const ImageLink& link,
                     const std::string& object) = nullptr;
  /// A target that takes the bytes of a disk of `size` bytes, and makes its image in `file`, a
  /// regular one that grows (TargetOptions). Null: the image is the disk.
  std::unique_ptr<Target> (*make)(std::unique_ptr<Target> file, const ImageLayout& layout,
                                  uint64_t size, const ImageLink& link) = nullptr;
};

/// A format of images: one row of the table.
struct Format {
  /// QEMU's name for it (its driver), which is libvirt's as well; empty: QEMU does not read it.
  const char* name = "";
  const char* title = "";  ///< in messages
  bool (*looks_like)(const ImageMarks& marks) = nullptr;
  /// The guest's disk in an image. Null: it is not read here.
  std::unique_ptr<Source> (*open)(std::unique_ptr<Source> file, FormatGate& gate) = nullptr;
  /// Adds to `facts` what the image says of itself, and to `damage` what of that cannot be read.
  /// Throws what open() would throw of a header that makes no sense. Null: it says nothing.
  void (*describe)(const Source& file, ImageFacts& facts,
                   std::vector<std::string>& damage) = nullptr;
  /// What the file holds, which can be read once, in order. Null: it is not compressed as a whole.
  std::unique_ptr<ByteStream> (*unpack)(std::unique_ptr<ByteStream> packed) = nullptr;
  /// Null: no images are made in it.
  const FormatMaker* maker = nullptr;
  /// Checks an image that QEMU shall read, as far as QEMU does not, or would do harm. Null, as
  /// `open` is: the format is recognised, so that it is not taken for another, and not read.
  std::unique_ptr<QemuImage> (*prepare)(std::unique_ptr<Source> file, FormatGate& gate) = nullptr;
  bool has_disks = false;  ///< several of them: disk() is asked for

  bool is_read() const { return open != nullptr || prepare != nullptr; }
};

/// The format that `file` has, as far as its marks tell; there always is one, since anything can be
/// a raw disk. Taking a container for a raw disk would give a guest the container in place of the
/// disk. Throws Error when the file cannot be read. Any thread.
ImageFormat probe_format(const Source& file);
/// The same of what was read of it.
ImageFormat probe_format(const ImageMarks& marks);

}  // namespace vmferry
