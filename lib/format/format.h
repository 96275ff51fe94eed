// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <any>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vmferry/format.h"
#include "vmferry/source.h"

namespace vmferry {

class SectorCipher;
struct Qcow2Header;

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
  /// Null: no key was given.
  virtual std::shared_ptr<const SectorCipher> unlock(const Source& file,
                                                     const Qcow2Header& header) = 0;

  /// Which disk of the image is wanted; nothing is given for one below another.
  virtual const SnapshotChoice& snapshot() const = 0;
  /// Read it in spite of a mark that it is damaged.
  virtual bool force_corrupt() const = 0;
  /// What the images of one chain share: empty at first, the format's own.
  virtual std::any& shared() = 0;

  /// What a user should know.
  virtual void warn(const std::string& text) = 0;
  /// Called with what was found out about the image, before others are opened. Null: nothing.
  virtual void seen(const Source& file, const Qcow2Header* header) = 0;
};

/// Where formats have their marks: the first 1024 bytes of an image and its last 512. Shorter in a
/// shorter one.
struct ImageMarks {
  std::string start;
  std::string end;
};

/// A format of images: one row of the table.
struct Format {
  /// QEMU's name for it (its driver), which is libvirt's as well; empty: QEMU does not read it.
  const char* name = "";
  const char* title = "";  ///< in messages
  bool (*looks_like)(const ImageMarks& marks) = nullptr;
  /// The guest's disk in an image. Null: the format is recognised, so that it is not taken for
  /// another, and not read.
  std::unique_ptr<Source> (*open)(std::unique_ptr<Source> file, FormatGate& gate) = nullptr;
};

/// The format that `file` has, as far as its marks tell; there always is one, since anything can be
/// a raw disk. Taking a container for a raw disk would give a guest the container in place of the
/// disk. Throws Error when the file cannot be read. Any thread.
ImageFormat probe_format(const Source& file);

}  // namespace vmferry
