// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_compressed.h"
#include "lib/format/qcow2/qcow2_geometry.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/format/qcow2/qcow2_history.h"
#include "lib/format/qcow2/qcow2_map.h"
#include "lib/format/qcow2/qcow2_preallocation.h"
#include "lib/format/qcow2/sector_cipher.h"
#include "vmferry/error.h"
#include "vmferry/history.h"
#include "vmferry/map.h"

namespace vmferry {
namespace {

// Being asked for what comes next must stay cheap however broken up the image is.
constexpr int kMaxPrefetchRuns = 256;

class Qcow2Source final : public Source, public Layout, public History, public Overlay {
 public:
  Qcow2Source(Qcow2Parts parts, const Qcow2Header& header, const Qcow2Geometry& geometry)
      : parts_(std::move(parts)),
        file_(parts_.file),
        backing_(parts_.backing),
        data_(parts_.data_file ? parts_.data_file : file_),
        cipher_(parts_.cipher),
        has_host_sectors_(header.encryption == Qcow2Encryption::kLuks),
        header_(header),
        map_(*file_, geometry, backing_ ? backing_->size() : 0, parts_.tables),
        history_(parts_, header_) {}

  const std::string& name() const override { return file_->name(); }
  void check_unchanged() const override {
    file_->check_unchanged();
    if (data_ != file_) {
      data_->check_unchanged();
    }
    if (backing_) {
      backing_->check_unchanged();
    }
  }
  void check_still_there() const override {
    file_->check_still_there();
    if (data_ != file_) {
      data_->check_still_there();
    }
    if (backing_) {
      backing_->check_still_there();
    }
  }
  /// The files' own stamps tell of every change; what is shown of them, the active state or a
  /// snapshot, is where the tables are. With AES the bytes depend on a key that nothing checks.
  std::string stamp() const override {
    if (header_.encryption == Qcow2Encryption::kAes) {
      return {};
    }
    std::vector<std::string> stamps = {file_->stamp()};
    if (data_ != file_) {
      stamps.push_back(data_->stamp());
    }
    if (backing_) {
      stamps.push_back(backing_->stamp());
    }
    if (std::find(stamps.begin(), stamps.end(), "") != stamps.end()) {
      return {};
    }
    return fmt::format("qcow2 of {} bytes with its table at {}, {}", size(),
                       map_.geometry().l1_offset, fmt::join(stamps, ", "));
  }
  std::chrono::milliseconds silent_for() const override {
    const auto files = std::max(file_->silent_for(), data_->silent_for());
    return backing_ ? std::max(files, backing_->silent_for()) : files;
  }
  uint64_t size() const override { return map_.geometry().virtual_size; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    Qcow2Map::Walker walker(map_);
    Extent extent = extent_of(walker.next(offset, max), offset);
    while (extent.length < max) {
      const Mapping next = walker.next(extent.end(), max - extent.length);
      // Asking the backing image only to throw the answer away would double the work with every
      // image of a chain.
      if (next.kind == MapKind::kUnallocated) {
        break;
      }
      const Extent more = extent_of(next, extent.end());
      if (more.kind != extent.kind) {
        break;
      }
      extent.length += more.length;
    }
    return extent;
  }

  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    Qcow2Map::Walker walker(map_);
    while (!out.empty()) {
      const Mapping run = walker.next(offset, out.size());
      const uint64_t done = read_run(walker, run, offset, out);
      offset += done;
      out = out.subspan(done);
    }
  }

  void prefetch(uint64_t offset, uint64_t length) const override {
    try {
      prefetch_runs(offset, length);
    } catch (const std::exception&) {
      // Only a wish: what is wrong here the read itself will say.
    }
  }

  uint64_t read_alignment() const override {
    const uint64_t cluster = map_.geometry().cluster_size();
    return backing_ ? std::max(cluster, backing_->read_alignment()) : cluster;
  }
  uint64_t preferred_read() const override {
    const uint64_t here = data_->preferred_read();
    return backing_ ? std::max(here, backing_->preferred_read()) : here;
  }

  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    Qcow2Map::Walker walker(map_, Qcow2Map::View::kLayer);
    while (length > 0) {
      const Mapping run = walker.next(offset, length);
      map_run(run, offset, visit);
      offset += run.length;
      length -= run.length;
    }
  }

  std::vector<Point> points() const override { return history_.points(); }
  std::unique_ptr<Source> open_point(size_t index) const override {
    return open_qcow2(history_.parts_at(index), header_);
  }
  std::unique_ptr<Changes> changes(size_t before, size_t after) const override {
    return history_.changes(before, after);
  }

  std::shared_ptr<const Source> below() const override { return backing_; }
  Changes::Run own_run_at(uint64_t offset, uint64_t max) const override {
    Qcow2Map::Walker walker(map_, Qcow2Map::View::kLayer);
    const Mapping run = walker.next(offset, max);
    return {run.length, run.kind != MapKind::kUnallocated};
  }

  std::optional<uint64_t> allocated_bytes() const override {
    const auto* layout = dynamic_cast<const Layout*>(file_.get());
    return layout ? layout->allocated_bytes() : std::nullopt;
  }

 private:
  void map_run(const Mapping& run, uint64_t offset, const MapVisitor& visit) const {
    MappedExtent extent = {
        .offset = offset, .length = run.length, .is_present = true, .file = data_->name()};
    // Encrypted bytes are not those of the guest: QEMU gives no place for them, either.
    if (run.host_offset != 0 && !cipher_) {
      extent.host_offset = run.host_offset;
    }
    switch (run.kind) {
      case MapKind::kUnallocated:
        map_below(extent, visit);
        return;
      case MapKind::kZero:
        extent.kind = MappedKind::kZero;
        break;
      case MapKind::kData:
        extent.kind = MappedKind::kData;
        if (!cipher_) {
          extent.host_offset = run.host_offset;
          if (has_holes_in_clusters()) {
            return map_holes(extent, visit);
          }
        }
        break;
      case MapKind::kCompressed:
        extent.kind = MappedKind::kCompressed;
        extent.host_offset.reset();
        break;
    }
    visit(extent);
  }

  // What this image says nothing about: its backing image, and zeros beyond the end of that.
  void map_below(MappedExtent hole, const MapVisitor& visit) const {
    const uint64_t backing_size = backing_ ? backing_->size() : 0;
    const uint64_t offset = hole.offset;
    const uint64_t below = offset < backing_size ? std::min(hole.length, backing_size - offset) : 0;
    if (below > 0) {
      map_range(*backing_, offset, below, [&visit](const MappedExtent& extent) {
        MappedExtent deeper = extent;
        ++deeper.depth;
        visit(deeper);
      });
    }
    if (below == hole.length) {
      return;
    }
    hole.offset += below;
    hole.length -= below;
    hole.is_present = false;
    // Subclusters that are not in use have a place, too.
    if (hole.host_offset) {
      *hole.host_offset += below;
    }
    visit(hole);
  }

  void map_holes(MappedExtent extent, const MapVisitor& visit) const {
    const uint64_t end = extent.end();
    while (extent.offset < end) {
      const Extent host = data_->extent_at(*extent.host_offset, end - extent.offset);
      extent.length = host.length;
      extent.kind = host.is_zero() ? MappedKind::kPreallocated : MappedKind::kData;
      visit(extent);
      extent.offset += host.length;
      *extent.host_offset += host.length;
    }
  }

  bool has_holes_in_clusters() const {
    std::call_once(preallocation_checked_, [this] {
      const std::optional<uint64_t> allocated = allocated_bytes();
      is_preallocated_ = allocated && is_preallocated(*file_, header_, *allocated);
    });
    return is_preallocated_;
  }

  // The front of a run as a guest sees it, maybe less than the whole.
  Extent extent_of(const Mapping& run, uint64_t offset) const {
    switch (run.kind) {
      case MapKind::kUnallocated:
        return backing_->extent_at(offset, run.length);
      case MapKind::kZero:
        return {offset, run.length, ExtentKind::kZero};
      case MapKind::kCompressed:
        return {offset, run.length, ExtentKind::kData};
      case MapKind::kData:
        break;
    }
    // Zeros that were never encrypted decrypt to something else.
    if (cipher_) {
      return {offset, run.length, ExtentKind::kData};
    }
    // An allocated cluster may still be a hole of the file (a preallocated image).
    const Extent host = data_->extent_at(run.host_offset, run.length);
    return {offset, host.length, host.kind};
  }

  uint64_t read_run(Qcow2Map::Walker& walker, const Mapping& run, uint64_t offset,
                    std::span<std::byte> out) const {
    const auto target = out.first(run.length);
    switch (run.kind) {
      case MapKind::kUnallocated:
        backing_->read_at(offset, target);
        break;
      case MapKind::kZero:
        std::memset(target.data(), 0, target.size());
        break;
      case MapKind::kData:
        read_plain(run, offset, target);
        break;
      case MapKind::kCompressed:
        return read_compressed(*file_, header_.codec, map_.geometry(), walker, run, offset, out);
    }
    return run.length;
  }

  void read_plain(const Mapping& run, uint64_t offset, std::span<std::byte> out) const {
    if (!cipher_) {
      return data_->read_at(run.host_offset, out);
    }
    const uint64_t sector = (has_host_sectors_ ? run.host_offset : offset) / kCipherSector;
    read_encrypted(*data_, *cipher_, run.host_offset, sector, out);
  }

  void prefetch_runs(uint64_t offset, uint64_t length) const {
    Qcow2Map::Walker walker(map_);
    uint64_t begin = 0;  // the window of compressed streams that is open; empty: none
    uint64_t end = 0;
    for (int runs = 0; length > 0 && runs < kMaxPrefetchRuns; ++runs) {
      const Mapping run = walker.next(offset, length);
      const bool is_compressed = run.kind == MapKind::kCompressed;
      if (begin < end && !(is_compressed && joins_window(begin, end, run))) {
        file_->prefetch(begin, end - begin);
        begin = end = 0;
      }
      if (is_compressed) {
        const uint64_t stream_end = run.host_offset + run.stream_bytes;
        begin = begin < end ? std::min(begin, run.host_offset) : run.host_offset;
        end = std::max(end, stream_end);
      } else if (run.kind == MapKind::kData) {
        data_->prefetch(run.host_offset, run.length);
      } else if (run.kind == MapKind::kUnallocated) {
        backing_->prefetch(offset, run.length);
      }
      offset += run.length;
      length -= run.length;
    }
    if (begin < end) {
      file_->prefetch(begin, end - begin);
    }
  }

  const Qcow2Parts parts_;
  const std::shared_ptr<const Source>& file_;
  const std::shared_ptr<const Source>& backing_;
  const std::shared_ptr<const Source>& data_;  // where plain clusters are
  const std::shared_ptr<const SectorCipher>& cipher_;
  const bool has_host_sectors_;  // sectors are numbered as in the file, not as in the guest
  const Qcow2Header header_;
  const Qcow2Map map_;
  const Qcow2History history_;
  mutable std::once_flag preallocation_checked_;
  mutable bool is_preallocated_ = false;
};

[[noreturn]] void refuse(const Source& file, ErrorKind kind, std::string cause, std::string hint) {
  throw Error({.kind = kind,
               .object = file.name(),
               .action = "open as qcow2",
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

void check_readable(const Qcow2Parts& parts, const Qcow2Header& header) {
  const Source& file = *parts.file;
  if (header.is_marked_corrupt() && !parts.force_corrupt) {
    refuse(file, ErrorKind::kCorrupt, "the image is marked as corrupt",
           "repair a copy of it (qemu-img check -r all), or read what can be read with "
           "--force-corrupt");
  }
  if (header.has_data_file() && !parts.data_file) {
    refuse(file, ErrorKind::kUnsupported, "it keeps its data in an external data file", "");
  }
  if (header.encryption != Qcow2Encryption::kNone && !parts.cipher) {
    const char* method = header.encryption == Qcow2Encryption::kAes ? "AES" : "LUKS";
    refuse(file, ErrorKind::kUnsupported, fmt::format("it is encrypted ({})", method),
           "pass --key-file FILE, a file with the bytes of the passphrase and nothing else");
  }
}

}  // namespace

std::unique_ptr<Source> open_qcow2(Qcow2Parts parts, const Qcow2Header& header) {
  check_readable(parts, header);
  if (!parts.tables) {
    parts.tables = std::make_shared<Qcow2TableCache>();
  }
  const Qcow2Geometry geometry = geometry_of(parts, header);
  return std::make_unique<Qcow2Source>(std::move(parts), header, geometry);
}

}  // namespace vmferry
