// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include "lib/format/qcow2.h"
#include "lib/format/qcow2_compressed.h"
#include "lib/format/qcow2_map.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// Being asked for what comes next must stay cheap however broken up the image is.
constexpr int kMaxPrefetchRuns = 256;

void append(std::vector<Extent>& out, size_t first, Extent extent) {
  if (out.size() > first && out.back().kind == extent.kind && out.back().end() == extent.offset) {
    out.back().length += extent.length;
  } else {
    out.push_back(extent);
  }
}

class Qcow2Source final : public Source {
 public:
  Qcow2Source(std::shared_ptr<const Source> file, const Qcow2Header& header,
              std::shared_ptr<const Source> backing)
      : file_(std::move(file)),
        backing_(std::move(backing)),
        codec_(header.codec),
        map_(*file_,
             {.version = header.version,
              .cluster_bits = header.cluster_bits,
              .virtual_size = header.virtual_size,
              .file_size = file_->size()},
             {.offset = header.l1_offset, .entries = header.l1_entries},
             backing_ ? backing_->size() : 0) {}

  const std::string& name() const override { return file_->name(); }
  uint64_t size() const override { return map_.geometry().virtual_size; }

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    Qcow2Map::Walker walker(map_);
    Extent extent = extent_of(walker.next(offset, max), offset);
    while (extent.length < max) {
      const Mapping next = walker.next(extent.end(), max - extent.length);
      // Asking the backing image only to throw the answer away would double the work with every
      // image of a chain.
      if (next.kind == MapKind::kUnallocated) break;
      const Extent more = extent_of(next, extent.end());
      if (more.kind != extent.kind) break;
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

  void find_content(uint64_t offset, uint64_t length, uint32_t granularity,
                    std::vector<Extent>& out) const override {
    Qcow2Map::Walker walker(map_);
    const size_t first = out.size();
    std::vector<Extent> found;
    while (length > 0) {
      const Mapping run = walker.next(offset, length);
      found.clear();
      find_in_run(run, offset, granularity, found);
      for (const Extent& extent : found) append(out, first, extent);
      offset += run.length;
      length -= run.length;
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

 private:
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
    // An allocated cluster may still be a hole of the file (a preallocated image).
    const Extent host = file_->extent_at(run.host_offset, run.length);
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
        file_->read_at(run.host_offset, target);
        break;
      case MapKind::kCompressed:
        return read_compressed(*file_, codec_, map_.geometry(), walker, run, offset, out);
    }
    return run.length;
  }

  void find_in_run(const Mapping& run, uint64_t offset, uint32_t granularity,
                   std::vector<Extent>& found) const {
    switch (run.kind) {
      case MapKind::kUnallocated:
        backing_->find_content(offset, run.length, granularity, found);
        break;
      case MapKind::kZero:
        found.push_back({offset, run.length, ExtentKind::kZero});
        break;
      case MapKind::kCompressed:
        found.push_back({offset, run.length, ExtentKind::kData});
        break;
      case MapKind::kData:
        file_->find_content(run.host_offset, run.length, granularity, found);
        for (Extent& extent : found) extent.offset = extent.offset - run.host_offset + offset;
        break;
    }
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
        file_->prefetch(run.host_offset, run.length);
      } else if (run.kind == MapKind::kUnallocated) {
        backing_->prefetch(offset, run.length);
      }
      offset += run.length;
      length -= run.length;
    }
    if (begin < end) file_->prefetch(begin, end - begin);
  }

  const std::shared_ptr<const Source> file_;
  const std::shared_ptr<const Source> backing_;
  const ClusterCodec codec_;
  const Qcow2Map map_;
};

[[noreturn]] void refuse(const Source& file, ErrorKind kind, std::string cause, std::string hint) {
  throw Error({.kind = kind,
               .object = file.name(),
               .action = "open as qcow2",
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

void check_readable(const Source& file, const Qcow2Header& header) {
  if (header.is_marked_corrupt()) {
    refuse(file, ErrorKind::kCorrupt, "the image is marked as corrupt",
           "examine it, and repair a copy of it: qemu-img check -r all");
  }
  if (header.has_data_file()) {
    refuse(file, ErrorKind::kUnsupported, "it keeps its data in an external data file",
           "convert it first: qemu-img convert -O qcow2");
  }
  if (header.has_extended_l2()) {
    refuse(file, ErrorKind::kUnsupported, "it has extended L2 entries (subclusters)",
           "convert it first: qemu-img convert -O qcow2 -o extended_l2=off");
  }
  if (header.encryption != Qcow2Encryption::kNone) {
    const char* method = header.encryption == Qcow2Encryption::kAes ? "AES" : "LUKS";
    refuse(file, ErrorKind::kUnsupported, std::string("it is encrypted (") + method + ")",
           "decrypt it first: qemu-img convert --object secret,...");
  }
}

}  // namespace

std::unique_ptr<Source> open_qcow2(std::shared_ptr<const Source> file, const Qcow2Header& header,
                                   std::shared_ptr<const Source> backing) {
  check_readable(*file, header);
  return std::make_unique<Qcow2Source>(std::move(file), header, std::move(backing));
}

}  // namespace vmferry
