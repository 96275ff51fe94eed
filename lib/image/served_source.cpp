// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/served_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <type_traits>
#include <utility>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/zeros.h"
#include "lib/qemu/qemu_nbd.h"
#include "lib/store/nbd/nbd.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using Files = std::vector<std::shared_ptr<const Source>>;

void collect_files(const QemuImage& image, Files& files) {
  files.push_back(image.file);
  for (const QemuTextPart& part : image.descriptor) {
    if (part.file) {
      files.push_back(part.file);
    }
  }
  if (image.backing) {
    collect_files(*image.backing, files);
  }
}

class ServedSource final : public Source {
 public:
  ServedSource(const QemuImage& image, const NetworkOptions& network)
      : server_(image), data_(image.data), places_(image.places) {
    collect_files(image, files_);
    NbdAddress address;
    address.socket = server_.socket_path();
    NbdOptions options = nbd_options(network);
    options.name = name();
    disk_ = explained([&] { return open_nbd_source(address, options).source; });
    check_size(image.size);
  }

  const std::string& name() const override { return files_.front()->name(); }
  uint64_t size() const override { return disk_->size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    const Piece piece = piece_at(offset, max);
    if (piece.is_placed) {
      Extent extent = image_file().extent_at(piece.place, piece.length);
      extent.offset = offset;
      return extent;
    }
    if (data_) {
      return extent_in(*data_, offset, piece.length);
    }
    return explained([&] { return disk_->extent_at(offset, piece.length); });
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const Piece piece = piece_at(offset, out.size());
      const auto part = out.first(piece.length);
      if (piece.is_placed) {
        image_file().read_at(piece.place, part);
      } else {
        explained([&] { disk_->read_at(offset, part); });
      }
      offset += piece.length;
      out = out.subspan(piece.length);
    }
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    const Piece piece = piece_at(offset, length);
    if (piece.is_placed) {
      image_file().prefetch(piece.place, piece.length);
    } else {
      disk_->prefetch(offset, piece.length);
    }
  }
  void check_unchanged() const override {
    for (const auto& file : files_) {
      file->check_unchanged();
    }
  }
  void check_still_there() const override {
    for (const auto& file : files_) {
      file->check_still_there();
    }
  }
  std::string stamp() const override {
    std::string all;
    for (const auto& file : files_) {
      const std::string one = file->stamp();
      if (one.empty()) {
        return {};
      }
      all += (all.empty() ? "" : ", ") + one;
    }
    return all;
  }
  std::chrono::milliseconds silent_for() const override {
    return std::max(disk_->silent_for(), image_file().silent_for());
  }
  uint64_t read_alignment() const override { return disk_->read_alignment(); }
  uint64_t preferred_read() const override {
    return places_.empty() ? disk_->preferred_read() : image_file().preferred_read();
  }

 private:
  /// Bytes that are all read from the same place.
  struct Piece {
    uint64_t length = 0;
    bool is_placed = false;
    uint64_t place = 0;  // in the file
  };

  const Source& image_file() const { return *files_.front(); }

  /// At most `most` bytes. REQUIRES: most > 0.
  Piece piece_at(uint64_t offset, uint64_t most) const {
    const auto next =
        std::upper_bound(places_.begin(), places_.end(), offset,
                         [](uint64_t wanted, const PlacedRun& run) { return wanted < run.offset; });
    if (next != places_.begin()) {
      const PlacedRun& run = *std::prev(next);
      const uint64_t inside = offset - run.offset;
      if (inside < run.length) {
        return {std::min(most, run.length - inside), true, run.place + inside};
      }
    }
    const uint64_t end = next == places_.end() ? UINT64_MAX : next->offset;
    return {std::min(most, end - offset)};
  }

  /// What QEMU does not show of a disk would be missing in its copy, and nobody would see it.
  void check_size(uint64_t said) const {
    constexpr uint64_t kSector = 512;  // QEMU's disks have whole ones
    const uint64_t sectors = said / kSector + (said % kSector != 0 ? 1 : 0);
    if (said == 0 || (disk_->size() / kSector == sectors && disk_->size() % kSector == 0)) {
      return;
    }
    throw Error({.kind = ErrorKind::kCorrupt,
                 .object = name(),
                 .action = "open with QEMU",
                 .cause = fmt::format("the image says that its disk has {}, but QEMU reads {}",
                                      exact_bytes(said), exact_bytes(disk_->size())),
                 .hint = "try a newer qemu-nbd, or convert it with the program that made it"});
  }

  /// An error names the image that the user knows, and tells what became of the server.
  template <typename Function>
  std::invoke_result_t<const Function&> explained(const Function& function) const {
    try {
      return function();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
      ErrorParts parts = error.parts();
      parts.object = name();
      if (const std::optional<std::string> ended = server_.how_it_ended()) {
        parts.kind = ErrorKind::kIo;
        parts.cause = *ended;
        parts.hint.clear();
      }
      throw Error(std::move(parts));
    }
  }

  Files files_;
  QemuNbd server_;
  const std::optional<std::vector<Extent>> data_;
  const std::vector<PlacedRun> places_;
  std::unique_ptr<Source> disk_;
};

}  // namespace

std::unique_ptr<Source> serve(std::unique_ptr<QemuImage> image, const NetworkOptions& network) {
  return std::make_unique<ServedSource>(*image, network);
}

}  // namespace vmferry
