// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <utility>

#include "lib/core/map_store.h"
#include "lib/store/extent_cache.h"
#include "lib/store/nbd/nbd_export.h"
#include "lib/store/nbd/nbd_source.h"
#include "vmferry/map.h"

namespace vmferry {
namespace {

// One question is about less than 4 GiB. A server may walk through all that it is asked about, so
// that the first bytes should not wait for that.
constexpr uint64_t kPiece = 1 << 30;
constexpr size_t kMostKept = 1 << 20;  // 24 MiB
// So that the workers of a copy have half of its memory under way. The rest is being written.
constexpr uint64_t kFarRead = 2 << 20;

/// Nothing tells whether an export changes, or who writes to it.
class NbdSource : public Source, public Layout {
 public:
  NbdSource(std::shared_ptr<NbdExport> from, uint64_t size)
      : export_(std::move(from)),
        size_(size),
        extents_(size, kPiece, kMostKept, [this](uint64_t offset, uint64_t length) {
          return export_->data_in(offset, length);
        }) {}

  const std::string& name() const override { return export_->name(); }
  uint64_t size() const override { return size_; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return extents_.extent_at(offset, max);
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    export_->read(offset, out);
  }
  std::chrono::milliseconds silent_for() const override { return export_->silent_for(); }
  uint64_t preferred_read() const override { return export_->is_far() ? kFarRead : 0; }

  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    map_store(*this, offset, length, visit);
  }

 private:
  const std::shared_ptr<NbdExport> export_;
  const uint64_t size_;
  mutable ExtentCache extents_;
};

}  // namespace

std::unique_ptr<Source> read_nbd_export(std::shared_ptr<NbdExport> from, uint64_t size) {
  return std::make_unique<NbdSource>(std::move(from), size);
}

OpenBytes open_nbd_source(const NbdAddress& address, const NbdOptions& options) {
  auto from = std::make_shared<NbdExport>(address, options);
  const Identity identity = from->identity();
  const uint64_t size = from->facts().size;
  return {read_nbd_export(std::move(from), size), identity, false};
}

}  // namespace vmferry
