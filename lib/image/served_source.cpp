// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/served_source.h"

#include <fmt/format.h>

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
      : server_(image), data_(image.data) {
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
    if (data_) {
      return extent_in(*data_, offset, max);
    }
    return explained([&] { return disk_->extent_at(offset, max); });
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    explained([&] { disk_->read_at(offset, out); });
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    disk_->prefetch(offset, length);
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
  std::chrono::milliseconds silent_for() const override { return disk_->silent_for(); }
  uint64_t read_alignment() const override { return disk_->read_alignment(); }
  uint64_t preferred_read() const override { return disk_->preferred_read(); }

 private:
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
  std::unique_ptr<Source> disk_;
};

}  // namespace

std::unique_ptr<Source> serve(std::unique_ptr<QemuImage> image, const NetworkOptions& network) {
  return std::make_unique<ServedSource>(*image, network);
}

}  // namespace vmferry
