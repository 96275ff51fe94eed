// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "lib/format/format.h"
#include "lib/image/backing.h"
#include "lib/image/chain.h"
#include "lib/image/checked_source.h"
#include "lib/image/checked_stream.h"
#include "lib/image/key_file.h"
#include "lib/image/open_errors.h"
#include "lib/image/served_source.h"
#include "lib/store/descriptors.h"
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
    refuse_disk(options_, image_.format, *file);
    Referrer self = {file->name(), location.path(), options_.format.has_value()};
    image_.guest =
        open_format({std::move(file), image_.format, std::move(self)}, options_.snapshot);
    return std::move(image_);
  }

 private:
  /// An image whose file is open.
  struct OpenedFile {
    std::unique_ptr<Source> bytes;
    ImageFormat format;
    Referrer self;
  };

  /// What one image of the chain may have.
  class Gate : public FormatGate {
   public:
    Gate(ChainOpener& chain, ImageFormat format, Referrer self, const SnapshotChoice& snapshot)
        : chain_(chain), format_(format), self_(std::move(self)), snapshot_(snapshot) {
      self_.format = format.name();
    }

    std::shared_ptr<const Source> open_backing(
        const std::string& stored_name, const std::optional<std::string>& stored_format) override {
      auto backing = chain_.open_backing(self_, stored_name, stored_format);
      // The deepest is open first.
      chain_.image_.below.insert(chain_.image_.below.begin(), backing);
      return backing;
    }
    std::shared_ptr<const Source> open_data_file(const std::string& stored_name) override {
      return chain_.open_bytes(
          PathLocation{resolve_data_file(self_, stored_name, chain_.options_.policy)});
    }
    std::unique_ptr<QemuImage> open_parent(
        const std::string& stored_name, const std::optional<std::string>& stored_format) override {
      return chain_.open_parent(self_, stored_name, stored_format);
    }
    std::shared_ptr<const Source> open_extent(const std::string& stored_name,
                                              bool no_guest_wrote_it) override {
      std::shared_ptr<const Source> part = chain_.open_extent(PathLocation{
          resolve_extent(self_, stored_name, no_guest_wrote_it, chain_.options_.policy)});
      chain_.seen_({*part, format_, false, true});
      return part;
    }
    std::unique_ptr<Source> open_inside(std::unique_ptr<Source> image) override {
      const ImageFormat format = probe_format(*image);
      refuse_unread(format, *image, "unpack it first");
      refuse_archive(format, *image);
      Referrer self = {image->name(), {}, false};
      return chain_.open_format({std::move(image), format, std::move(self)}, kAsItIs);
    }
    std::optional<Secret> passphrase() override {
      const std::string& key_file = chain_.options_.key_file;
      return key_file.empty() ? std::nullopt : std::optional(read_key_file(key_file));
    }
    const SnapshotChoice& snapshot() const override { return snapshot_; }
    std::optional<unsigned> disk() const override { return chain_.options_.disk; }
    bool force_corrupt() const override { return chain_.options_.force_corrupt; }
    std::any& shared() override { return chain_.shared_; }
    void warn(const std::string& text) override { chain_.image_.warnings.push_back(text); }

   private:
    ChainOpener& chain_;
    const ImageFormat format_;
    Referrer self_;
    const SnapshotChoice& snapshot_;
  };

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
    if (images_ >= kDeepestChain) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = location.display(),
                   .action = "open the backing chain",
                   .cause = "more than " + std::to_string(kDeepestChain) + " images"});
    }
    ++images_;
    return open_and_note(location);
  }

  std::unique_ptr<Source> open_extent(const Location& location) {
    constexpr size_t kManyExtents = 2048;
    if (!has_many_descriptors_) {
      has_many_descriptors_ = true;
      free_descriptors(kManyExtents);
    }
    return open_and_note(location);
  }

  std::unique_ptr<Source> open_and_note(const Location& location) {
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
    image_.opened.push_back(identity);
    if (being_written) {
      image_.written = name;
      image_.warnings.push_back(
          name + ": another process is writing to it; a copy may mix old and new data");
    }
  }

  std::unique_ptr<Source> open_format(OpenedFile file, const SnapshotChoice& snapshot) {
    seen_({*file.bytes, file.format, !file.self.format_named});
    Gate gate(*this, file.format, std::move(file.self), snapshot);
    const Format& row = file.format.row();
    if (row.open != nullptr) {
      return row.open(std::move(file.bytes), gate);
    }
    refuse_snapshot(snapshot, *file.bytes);
    return serve(row.prepare(std::move(file.bytes), gate), options_.network);
  }

  std::unique_ptr<QemuImage> open_parent(const Referrer& referrer, const std::string& stored_name,
                                         const std::optional<std::string>& stored_format) {
    OpenedFile file = open_below(referrer, stored_name, stored_format);
    seen_({*file.bytes, file.format, !file.self.format_named});
    const Format& row = file.format.row();
    if (row.prepare != nullptr) {
      Gate gate(*this, file.format, std::move(file.self), kAsItIs);
      return row.prepare(std::move(file.bytes), gate);
    }
    if (file.format.is_container()) {
      throw unread_below(referrer, file.format);
    }
    auto image = std::make_unique<QemuImage>();
    image->driver = row.name;
    image->file = std::move(file.bytes);
    return image;
  }

  std::shared_ptr<const Source> open_backing(const Referrer& referrer,
                                             const std::string& stored_name,
                                             const std::optional<std::string>& stored_format) {
    return open_format(open_below(referrer, stored_name, stored_format), kAsItIs);
  }

  OpenedFile open_below(const Referrer& referrer, const std::string& stored_name,
                        const std::optional<std::string>& stored_format) {
    const Reference base = resolve_backing(referrer, stored_name, stored_format, options_.policy);
    const bool named = base.format.has_value();
    if (!named && options_.policy.only_allowed) {
      throw undeclared_format(referrer, base.path);
    }
    std::unique_ptr<Source> file = open_bytes(PathLocation{base.path});
    const ImageFormat format = named ? parse_format(*base.format, referrer) : probe_format(*file);
    refuse_unread(format, *file, "say so in the image over it: qemu-img rebase -u -F raw");
    Referrer self = {file->name(), base.path, named};
    return {std::move(file), format, std::move(self)};
  }

  static inline const SnapshotChoice kAsItIs;

  const SourceOptions& options_;
  const ImageSeen& seen_;
  std::any shared_;
  size_t images_ = 0;
  bool has_many_descriptors_ = false;
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
