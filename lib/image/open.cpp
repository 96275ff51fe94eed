// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "lib/core/printable.h"
#include "lib/format/format.h"
#include "lib/image/backing.h"
#include "lib/image/chain.h"
#include "lib/image/checked_source.h"
#include "lib/image/checked_stream.h"
#include "lib/image/key_file.h"
#include "lib/store/store.h"
#include "vmferry/error.h"
#include "vmferry/open.h"

namespace vmferry {
namespace {

// QEMU has been seen to handle 500; a chain is read one call deep for each.
constexpr size_t kDeepestChain = 256;

/// Opens one image and those below it, and keeps the list of what was opened.
class ChainOpener {
 public:
  ChainOpener(const SourceOptions& options, const ImageSeen& seen)
      : options_(options), seen_(seen) {}

  OpenImage open(const Location& location) {
    if (options_.streams && location.store().open_stream != nullptr) {
      open_stream(location);
      return std::move(image_);
    }
    std::unique_ptr<Source> file = open_bytes(location);
    if (options_.checksum) {
      file = with_checksum(std::move(file), location.store().is_read_once, options_);
    }
    image_.format = options_.format ? *options_.format : probe_format(*file);
    if (options_.streams && image_.format.row().unpack != nullptr) {
      take_stream(stream_of(std::move(file)));
      return std::move(image_);
    }
    refuse_unread(image_.format, *file, "pass -f raw");
    image_.guest = open_format(std::move(file), image_.format, location.path(),
                               options_.format.has_value(), options_.snapshot);
    return std::move(image_);
  }

 private:
  /// What one image of the chain may have.
  class Gate : public FormatGate {
   public:
    Gate(ChainOpener& chain, Referrer self, const SnapshotChoice& snapshot)
        : chain_(chain), self_(std::move(self)), snapshot_(snapshot) {}

    std::shared_ptr<const Source> open_backing(
        const std::string& stored_name, const std::optional<std::string>& stored_format) override {
      return chain_.open_backing(self_, stored_name, stored_format);
    }
    std::shared_ptr<const Source> open_data_file(const std::string& stored_name) override {
      return chain_.open_bytes(
          PathLocation{resolve_data_file(self_, stored_name, chain_.options_.policy)});
    }
    std::optional<Secret> passphrase() override {
      const std::string& key_file = chain_.options_.key_file;
      return key_file.empty() ? std::nullopt : std::optional(read_key_file(key_file));
    }
    const SnapshotChoice& snapshot() const override { return snapshot_; }
    bool force_corrupt() const override { return chain_.options_.force_corrupt; }
    std::any& shared() override { return chain_.shared_; }
    void warn(const std::string& text) override { chain_.image_.warnings.push_back(text); }

   private:
    ChainOpener& chain_;
    const Referrer self_;
    const SnapshotChoice& snapshot_;
  };

  /// `if_raw` says how a user tells that the file is a raw disk all the same.
  static void refuse_unread(ImageFormat format, const Source& file, const std::string& if_raw) {
    const Format& row = format.row();
    if (row.open != nullptr) {
      return;
    }
    const std::string name = row.name;
    const std::string first = name.empty() ? "unpack it first"
                                           : "convert it first: qemu-img convert -p -f " + name +
                                                 " -O qcow2 FILE FILE.qcow2";
    throw Error(
        {.kind = ErrorKind::kUnsupported,
         .object = file.name(),
         .action = "open",
         .cause = std::string("it is a ") + row.title + " file, which " +
                  (row.unpack != nullptr ? "can only be read in order" : "vmferry does not read"),
         .hint = first + "; if it is a raw disk that only looks like one, " + if_raw});
  }

  void open_stream(const Location& location) {
    if (options_.checksum) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = location.display(),
                   .action = "open",
                   .cause = "what is read once cannot be checked before it is used",
                   .hint = "save it to a file first"});
    }
    OpenStream opened = location.store().open_stream(location);
    if (opened.identity) {
      note(*opened.identity, opened.stream->name(), opened.being_written);
    }
    if (!options_.format) {
      return take_stream(std::move(opened.stream));
    }
    if (options_.format->is_container()) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = opened.stream->name(),
                   .action = "open",
                   .cause = std::string("a ") + options_.format->row().title +
                            " file cannot be read in order",
                   .hint = "save it to a file first"});
    }
    image_.stream = std::move(opened.stream);
  }

  void take_stream(std::unique_ptr<ByteStream> stored) {
    image_.format = ImageFormat();
    image_.stream = disk_in_stream(std::move(stored));
  }

  std::unique_ptr<Source> open_bytes(const Location& location) {
    OpenBytes bytes = location.store().open(location, options_.network);
    note(bytes.identity, bytes.source->name(), bytes.being_written);
    return std::move(bytes.source);
  }

  void note(const Identity& identity, const std::string& name, bool being_written) {
    if (std::find(image_.opened.begin(), image_.opened.end(), identity) != image_.opened.end()) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .object = name,
                   .action = "open the backing chain",
                   .cause = "the chain comes back to this file",
                   .hint = "qemu-img info --backing-chain shows the chain"});
    }
    if (image_.opened.size() >= kDeepestChain) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = name,
                   .action = "open the backing chain",
                   .cause = "more than " + std::to_string(kDeepestChain) + " images"});
    }
    image_.opened.push_back(identity);
    if (being_written) {
      image_.written = name;
      image_.warnings.push_back(
          name + ": another process is writing to it; a copy may mix old and new data");
    }
  }

  std::unique_ptr<Source> open_format(std::unique_ptr<Source> file, ImageFormat format,
                                      const std::string& path, bool named,
                                      const SnapshotChoice& snapshot) {
    seen_({*file, format, !named});
    Gate gate(*this, {file->name(), path, named}, snapshot);
    return format.row().open(std::move(file), gate);
  }

  std::shared_ptr<const Source> open_backing(const Referrer& referrer,
                                             const std::string& stored_name,
                                             const std::optional<std::string>& stored_format) {
    const Reference base = resolve_backing(referrer, stored_name, stored_format, options_.policy);
    const bool named = base.format.has_value();
    if (!named && options_.policy.only_allowed) {
      throw undeclared_format(referrer, base.path);
    }
    std::unique_ptr<Source> file = open_bytes(PathLocation{base.path});
    const ImageFormat format = named ? parse_format(*base.format, referrer) : probe_format(*file);
    refuse_unread(format, *file, "say so in the image over it: qemu-img rebase -u -F raw");
    static const SnapshotChoice kAsItIs;
    return open_format(std::move(file), format, base.path, named, kAsItIs);
  }

  static Error undeclared_format(const Referrer& referrer, const std::string& path) {
    return Error({.kind = ErrorKind::kConflict,
                  .object = referrer.name,
                  .action = "open its backing file '" + path + "'",
                  .cause = "the image does not say which format that has",
                  .hint = "say it: qemu-img rebase -u -F FORMAT -b '" + path + "' '" +
                          referrer.path + "', while it is not in use"});
  }

  static ImageFormat parse_format(const std::string& name, const Referrer& referrer) {
    if (const std::optional<ImageFormat> format = find_format(name)) {
      return *format;
    }
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = referrer.name,
                 .action = "open its backing file",
                 .cause = "its format is '" + printable(name) + "'",
                 .hint = "raw and qcow2 are read; convert it with qemu-img first"});
  }

  const SourceOptions& options_;
  const ImageSeen& seen_;
  std::any shared_;
  OpenImage image_;
};

}  // namespace

void refuse_being_written(const OpenImage& image) {
  if (image.written.empty()) {
    return;
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = image.written,
               .action = "read",
               .cause = "another process, maybe a running virtual machine, has it open for writing",
               .hint =
                   "shut the machine down, or read a snapshot; --source-in-use reads it all the "
                   "same, and old and new data may mix"});
}

OpenImage open_image(const Location& location, const SourceOptions& options) {
  return open_chain(location, options, [](const SeenImage&) {});
}

OpenImage open_chain(const Location& location, const SourceOptions& options,
                     const ImageSeen& seen) {
  return ChainOpener(options, seen).open(location);
}

}  // namespace vmferry
