// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "lib/core/printable.h"
#include "lib/format/foreign.h"
#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_table_cache.h"
#include "lib/image/backing.h"
#include "lib/image/chain.h"
#include "lib/image/unlock.h"
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
    std::unique_ptr<Source> store = open_bytes(location);
    const bool named = options_.format.has_value();
    const ImageFormat format = named ? *options_.format : probe(*store, "pass -f raw");
    image_.format = format;
    image_.guest = open_format(std::move(store), format, {{}, location.path(), named});
    return std::move(image_);
  }

 private:
  /// `if_raw` says how a user tells that the file is a raw disk all the same.
  static ImageFormat probe(const Source& store, const std::string& if_raw) {
    // Before qcow2, whose first version is a format of its own.
    const std::optional<ForeignFormat> foreign = find_foreign_format(store);
    if (!foreign) {
      return is_qcow2(store) ? ImageFormat::kQcow2 : ImageFormat::kRaw;
    }
    const std::string first = foreign->qemu_name.empty()
                                  ? "unpack it first"
                                  : "convert it first: qemu-img convert -p -f " +
                                        foreign->qemu_name + " -O qcow2 FILE FILE.qcow2";
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = store.name(),
                 .action = "open",
                 .cause = "it is a " + foreign->name + " file, which vmferry does not read",
                 .hint = first + "; if it is a raw disk that only looks like one, " + if_raw});
  }

  std::unique_ptr<Source> open_bytes(const Location& location) {
    OpenBytes bytes = location.store().open(location, options_.ceph);
    note(bytes.identity, *bytes.source, bytes.being_written);
    return std::move(bytes.source);
  }

  void note(const Identity& identity, const Source& store, bool being_written) {
    if (std::find(image_.opened.begin(), image_.opened.end(), identity) != image_.opened.end()) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .object = store.name(),
                   .action = "open the backing chain",
                   .cause = "the chain comes back to this file",
                   .hint = "qemu-img info --backing-chain shows the chain"});
    }
    if (image_.opened.size() >= kDeepestChain) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = store.name(),
                   .action = "open the backing chain",
                   .cause = "more than " + std::to_string(kDeepestChain) + " images"});
    }
    image_.opened.push_back(identity);
    if (being_written) {
      image_.written = store.name();
      image_.warnings.push_back(
          store.name() + ": another process is writing to it; a copy may mix old and new data");
    }
  }

  std::unique_ptr<Source> open_format(std::unique_ptr<Source> store, ImageFormat format,
                                      Referrer self) {
    const bool is_top = std::exchange(is_top_, false);
    self.name = store->name();
    if (format == ImageFormat::kRaw) {
      seen_({*store, format, !self.format_named, nullptr});
      if (is_top && options_.snapshot.is_given()) {
        refuse_snapshot(self);
      }
      return store;
    }
    const Qcow2Header header = read_qcow2_header(*store);
    seen_({*store, format, !self.format_named, &header});
    note_state(header, self.name);
    Qcow2Parts parts{.tables = tables_, .force_corrupt = options_.force_corrupt};
    if (is_top && options_.snapshot.is_given()) {
      parts.snapshot = choose_snapshot(*store, header);
    }
    if (header.encryption != Qcow2Encryption::kNone && !options_.key_file.empty()) {
      parts.cipher = unlock(*store, header, options_.key_file);
    }
    if (header.has_data_file()) {
      parts.data_file = open_data_file(header, self);
    }
    if (!header.backing_name.empty()) {
      parts.backing = open_backing(header, self);
    }
    parts.file = std::move(store);
    return open_qcow2(std::move(parts), header);
  }

  Qcow2Snapshot choose_snapshot(const Source& store, const Qcow2Header& header) const {
    if (header.has_data_file()) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = store.name(),
                   .action = "look for the snapshot",
                   .cause = "an image with an external data file cannot have snapshots"});
    }
    return find_qcow2_snapshot(store, header, options_.snapshot.name, options_.snapshot.id);
  }

  [[noreturn]] static void refuse_snapshot(const Referrer& self) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = self.name,
                 .action = "look for the snapshot",
                 .cause = "it is raw, and only qcow2 images have snapshots of their own",
                 .hint = "a snapshot of a volume is written rbd:POOL/IMAGE@SNAPSHOT"});
  }

  void note_state(const Qcow2Header& header, const std::string& name) {
    if (header.is_dirty()) {
      image_.warnings.push_back(
          name + ": it was not closed cleanly (dirty bit); what a guest wrote last may be missing");
    }
    if (header.is_marked_corrupt() && options_.force_corrupt) {
      image_.warnings.push_back(name + ": it is marked as corrupt, and read all the same");
    }
  }

  std::shared_ptr<const Source> open_data_file(const Qcow2Header& header,
                                               const Referrer& referrer) {
    if (!header.data_file_name || header.data_file_name->empty()) {
      throw Error({.kind = ErrorKind::kCorrupt,
                   .object = referrer.name,
                   .action = "open its external data file",
                   .cause = "the image does not name it"});
    }
    return open_bytes(
        PathLocation{resolve_data_file(referrer, *header.data_file_name, options_.policy)});
  }

  std::shared_ptr<const Source> open_backing(const Qcow2Header& header, const Referrer& referrer) {
    const Reference base =
        resolve_backing(referrer, header.backing_name, header.backing_format, options_.policy);
    const bool named = base.format.has_value();
    if (!named && options_.policy.only_allowed) {
      throw undeclared_format(referrer, base.path);
    }
    std::unique_ptr<Source> store = open_bytes(PathLocation{base.path});
    const ImageFormat format =
        named ? parse_format(*base.format, referrer)
              : probe(*store, "say so in the image over it: qemu-img rebase -u -F raw");
    return open_format(std::move(store), format, {{}, base.path, named});
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
    if (name == "raw") {
      return ImageFormat::kRaw;
    }
    if (name == "qcow2") {
      return ImageFormat::kQcow2;
    }
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = referrer.name,
                 .action = "open its backing file",
                 .cause = "its format is '" + printable(name) + "'",
                 .hint = "raw and qcow2 are read; convert it with qemu-img first"});
  }

  const SourceOptions& options_;
  const ImageSeen& seen_;
  const std::shared_ptr<Qcow2TableCache> tables_ = std::make_shared<Qcow2TableCache>();
  bool is_top_ = true;
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
