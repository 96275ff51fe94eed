// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "lib/format/qcow2.h"
#include "lib/image/backing.h"
#include "lib/store/file_source.h"
#include "lib/store/rbd.h"
#include "vmferry/error.h"
#include "vmferry/open.h"

namespace vmferry {
namespace {

// QEMU has been seen to handle 500; a chain is read one call deep for each.
constexpr size_t kDeepestChain = 256;

/// Opens one image and those behind it, and keeps the list of what was opened.
class ChainOpener {
 public:
  explicit ChainOpener(const SourceOptions& options) : options_(options) {}

  OpenImage open(const Location& location) {
    std::unique_ptr<Source> store;
    std::string path;
    if (const auto* rbd = std::get_if<RbdLocation>(&location)) {
      store = open_volume(*rbd);
    } else {
      path = std::get<PathLocation>(location).path;
      store = open_file(path);
    }
    const bool named = options_.format.has_value();
    const ImageFormat format = named ? *options_.format : probe(*store);
    image_.format = format;
    image_.guest = open_format(std::move(store), format, {{}, path, named});
    return std::move(image_);
  }

 private:
  static ImageFormat probe(const Source& store) {
    return is_qcow2(store) ? ImageFormat::kQcow2 : ImageFormat::kRaw;
  }

  std::unique_ptr<Source> open_volume(const RbdLocation& location) {
    OpenVolume volume = open_rbd_source(location, options_.ceph);
    note(volume.identity, *volume.source, volume.being_written);
    return std::move(volume.source);
  }

  std::unique_ptr<Source> open_file(const std::string& path) {
    OpenFile file = open_file_source(path);
    note(file.identity, *file.source, file.being_written);
    return std::move(file.source);
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
      image_.being_written = true;
      image_.warnings.push_back(
          store.name() + ": another process is writing to it; a copy may mix old and new data");
    }
  }

  std::unique_ptr<Source> open_format(std::unique_ptr<Source> store, ImageFormat format,
                                      Referrer self) {
    if (format == ImageFormat::kRaw) return store;
    self.name = store->name();
    const Qcow2Header header = read_qcow2_header(*store);
    std::shared_ptr<const Source> backing;
    if (!header.backing_name.empty()) backing = open_backing(header, self);
    return open_qcow2(std::move(store), header, std::move(backing));
  }

  std::shared_ptr<const Source> open_backing(const Qcow2Header& header, const Referrer& referrer) {
    const std::string path = resolve_backing(referrer, header.backing_name, options_.policy);
    const bool named = header.backing_format.has_value();
    if (!named && options_.policy.only_allowed) throw undeclared_format(referrer, path);
    std::unique_ptr<Source> store = open_file(path);
    const ImageFormat format =
        named ? parse_format(*header.backing_format, referrer) : probe(*store);
    return open_format(std::move(store), format, {{}, path, named});
  }

  static Error undeclared_format(const Referrer& referrer, const std::string& path) {
    return Error({.kind = ErrorKind::kConflict,
                  .object = referrer.name,
                  .action = "open its backing file '" + path + "'",
                  .cause = "the image does not say which format that has",
                  .hint = "say it: qemu-img rebase -u -F FORMAT -b '" + path + "' '" +
                          referrer.path + "', while nobody uses it"});
  }

  static ImageFormat parse_format(const std::string& name, const Referrer& referrer) {
    if (name == "raw") return ImageFormat::kRaw;
    if (name == "qcow2") return ImageFormat::kQcow2;
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = referrer.name,
                 .action = "open its backing file",
                 .cause = "its format is '" + name + "'",
                 .hint = "raw and qcow2 are read; convert it with qemu-img first"});
  }

  const SourceOptions& options_;
  OpenImage image_;
};

}  // namespace

OpenImage open_image(const Location& location, const SourceOptions& options) {
  return ChainOpener(options).open(location);
}

}  // namespace vmferry
