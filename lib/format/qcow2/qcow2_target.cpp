// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_target.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "lib/core/zeros.h"
#include "lib/format/qcow2/byte_writer.h"
#include "lib/format/qcow2/cluster_packer.h"
#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/format/qcow2/qcow2_new_tables.h"
#include "lib/format/qcow2/qcow2_space.h"

namespace vmferry {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kCopied = uint64_t{1} << 63;
constexpr uint64_t kCompressed = uint64_t{1} << 62;
constexpr uint64_t kOffsetEnd = uint64_t{1} << 56;  // of places in the file, as entries have them
// What is packed before space is asked for and a write is made.
constexpr uint64_t kBatch = uint64_t{1} << 20;
// More threads than a copy has: nobody waits for another's memory.
constexpr size_t kMostBatches = 65;

/// A cluster of the guest that is stored packed: where it is in the batch's memory.
struct PackedCluster {
  uint64_t guest_cluster = 0;
  size_t position = 0;
  size_t bytes = 0;
  uint64_t host_offset = 0;
};

/// What becomes of the clusters of one piece of the disk.
struct ClusterBatch {
  uint64_t offset = 0;  ///< in the disk
  Slice data;           ///< of the disk
  std::vector<uint64_t> plain = {};
  uint64_t plain_offset = 0;  ///< in the file: of the first, which the others follow
  std::optional<Buffer> memory = {};
  std::vector<PackedCluster> packed = {};
};

class Qcow2Target : public Target, private Sink {
 public:
  Qcow2Target(std::unique_ptr<Target> file, const NewQcow2& image)
      : file_(std::move(file)),
        bytes_(file_->sink()),
        image_(image),
        cluster_(uint64_t{1} << image.cluster_bits),
        batch_(std::max(kBatch, cluster_)),
        memory_(kMostBatches, batch_),
        space_(image.cluster_bits),
        tables_(image.cluster_bits, image.guest_size) {}

  Sink& sink() override { return *this; }
  void publish() override {
    if (!complete_) {
      throw std::logic_error("publish before flush");
    }
    file_->publish();
  }

 private:
  const std::string& name() const override { return bytes_.name(); }
  uint64_t size() const override { return image_.guest_size; }
  SinkTraits traits() const override {
    return {.write_size = static_cast<uint32_t>(batch_),
            .zero_granularity = static_cast<uint32_t>(std::max<uint64_t>(cluster_, 4096)),
            .write_unit = static_cast<uint32_t>(cluster_),
            .starts_zeroed = true};
  }
  void check_writes() override { bytes_.check_writes(); }
  std::chrono::milliseconds silent_for() const override { return bytes_.silent_for(); }
  /// What is not written is not allocated.
  void zero_range(uint64_t /*offset*/, uint64_t /*length*/) override {}

  void write_at(uint64_t offset, Slice data) override {
    const uint64_t end = offset + data.size();
    if (offset % cluster_ != 0 || (end % cluster_ != 0 && end != size())) {
      throw std::logic_error("a part of a cluster is written");
    }
    for (uint64_t at = 0; at < data.size(); at += batch_) {
      write_batch({.offset = offset + at,
                   .data = data.part(at, std::min<uint64_t>(batch_, data.size() - at))});
    }
  }

  void barrier() override { bytes_.barrier(); }

  void flush() override {
    FilePieces pieces;
    const uint64_t l1 = tables_.finish(space_, pieces);
    const Qcow2Space::Table refcounts = space_.finish(pieces);
    bytes_.grow(space_.end());
    write(std::move(pieces));
    bytes_.set_size(space_.end());
    bytes_.flush();
    write({{0, header(l1, refcounts)}});
    bytes_.flush();
    complete_ = true;
  }

  std::unique_ptr<Source> read_back() override {
    std::shared_ptr<const Source> file = bytes_.read_back();
    Qcow2Header header = read_qcow2_header(*file);
    header.virtual_size = image_.guest_size;  // without what fills up its last sector
    return open_qcow2({.file = std::move(file)}, header);
  }

  uint64_t cluster_at(uint64_t offset) const { return offset / cluster_; }

  void write_batch(ClusterBatch batch) {
    pack(batch);
    FilePieces tables;
    {
      const std::lock_guard lock(mutex_);
      place(batch);
      tables_.keep_within_budget(space_, tables);
      space_.write_final_blocks(tables);
      bytes_.grow(space_.end());
    }
    write_plain(batch);
    write_packed(batch);
    write(std::move(tables));
  }

  /// Decides how each cluster is stored.
  void pack(ClusterBatch& batch) {
    std::unique_ptr<ClusterPacker> packer;
    const std::span<const std::byte> data = batch.data.bytes();
    size_t used = 0;
    for (size_t at = 0; at < data.size(); at += cluster_) {
      const auto cluster = data.subspan(at, std::min<size_t>(cluster_, data.size() - at));
      if (is_zero(cluster)) {
        continue;
      }
      const uint64_t index = cluster_at(batch.offset + at);
      size_t bytes = 0;
      if (image_.codec) {
        if (!packer) {
          packer = take_packer();
          batch.memory = memory_.acquire({});
        }
        bytes = pack_cluster(*packer, cluster, batch.memory->bytes().subspan(used));
      }
      if (bytes == 0) {
        batch.plain.push_back(index);
      } else {
        batch.packed.push_back({index, used, bytes});
        used += bytes;
      }
    }
    if (packer) {
      const std::lock_guard lock(mutex_);
      packers_.push_back(std::move(packer));
    }
  }

  /// 0: it is not shorter than a cluster.
  size_t pack_cluster(ClusterPacker& packer, std::span<const std::byte> cluster,
                      std::span<std::byte> out) const {
    out = out.first(std::min<size_t>(out.size(), cluster_ - 1));
    if (cluster.size() == cluster_) {
      return packer.pack(cluster, out);
    }
    std::vector<std::byte> whole(cluster_);  // the last one of the disk
    std::memcpy(whole.data(), cluster.data(), cluster.size());
    return packer.pack(whole, out);
  }

  std::unique_ptr<ClusterPacker> take_packer() {
    {
      const std::lock_guard lock(mutex_);
      if (!packers_.empty()) {
        std::unique_ptr<ClusterPacker> packer = std::move(packers_.back());
        packers_.pop_back();
        return packer;
      }
    }
    return make_cluster_packer(*image_.codec, image_.level);
  }

  /// REQUIRES: mutex_ held.
  void place(ClusterBatch& batch) {
    batch.plain_offset = space_.take_clusters(batch.plain.size());
    for (size_t i = 0; i < batch.plain.size(); ++i) {
      tables_.set(batch.plain[i], (batch.plain_offset + i * cluster_) | kCopied);
    }
    for (PackedCluster& packed : batch.packed) {
      packed.host_offset = space_.take_stream(packed.bytes);
      const uint64_t last = packed.host_offset + packed.bytes - 1;
      const uint64_t more_sectors = last / kSector - packed.host_offset / kSector;
      const uint32_t shift = 62 - (image_.cluster_bits - 8);
      tables_.set(packed.guest_cluster, kCompressed | more_sectors << shift | packed.host_offset);
    }
  }

  /// Runs of clusters that lie one behind the other in the disk as well.
  void write_plain(const ClusterBatch& batch) {
    const std::vector<uint64_t>& plain = batch.plain;
    for (size_t i = 0; i < plain.size();) {
      size_t count = 1;
      while (i + count < plain.size() && plain[i + count] == plain[i] + count) {
        ++count;
      }
      const size_t from = plain[i] * cluster_ - batch.offset;
      const size_t bytes = std::min<size_t>(count * cluster_, batch.data.size() - from);
      bytes_.write_at(batch.plain_offset + i * cluster_, batch.data.part(from, bytes));
      i += count;
    }
  }

  /// They are one behind the other in memory, and mostly in the file.
  void write_packed(const ClusterBatch& batch) {
    const std::vector<PackedCluster>& packed = batch.packed;
    for (size_t i = 0; i < packed.size();) {
      size_t bytes = packed[i].bytes;
      size_t next = i + 1;
      while (next < packed.size() && packed[next].host_offset == packed[i].host_offset + bytes) {
        bytes += packed[next++].bytes;
      }
      bytes_.write_at(packed[i].host_offset, batch.memory->slice(packed[i].position, bytes));
      i = next;
    }
  }

  void write(FilePieces pieces) {
    for (FilePiece& piece : pieces) {
      const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(piece.bytes));
      bytes_.write_at(piece.offset, Slice({owner, owner->data()}, *owner));
    }
  }

  /// The fields are those of QEMU's docs/interop/qcow2.txt.
  std::vector<std::byte> header(uint64_t l1, const Qcow2Space::Table& refcounts) const {
    constexpr uint32_t kLength = 112;
    constexpr uint64_t kHasCompressionType = uint64_t{1} << 3;
    const ClusterCodec codec = image_.codec.value_or(ClusterCodec::kDeflate);
    std::vector<std::byte> bytes(kSector);
    ByteWriter out(bytes);
    out.u32(0, 0x514649fb);
    out.u32(4, 3);
    out.u32(20, image_.cluster_bits);
    out.u64(24, divide_up(image_.guest_size, kSector) * kSector);
    out.u32(36, tables_.l1_entries());
    out.u64(40, l1);
    out.u64(48, refcounts.offset);
    out.u32(56, refcounts.clusters);
    out.u64(72, codec == ClusterCodec::kDeflate ? 0 : kHasCompressionType);
    out.u32(96, 4);  // counts of 1 << 4 bits
    out.u32(100, kLength);
    out.u8(104, static_cast<uint64_t>(codec));
    return bytes;
  }

  const std::unique_ptr<Target> file_;
  Sink& bytes_;
  const NewQcow2 image_;
  const uint64_t cluster_;
  const uint64_t batch_;
  BufferPool memory_;
  bool complete_ = false;
  std::mutex mutex_;  // guards what follows, until flush(); held for no reading or writing
  Qcow2Space space_;
  Qcow2NewTables tables_;
  std::vector<std::unique_ptr<ClusterPacker>> packers_;
};

}  // namespace

bool can_map(const NewQcow2& image) {
  constexpr uint64_t kMostRefcountTable = uint64_t{8} << 20;  // QEMU's limit
  const uint64_t cluster = uint64_t{1} << image.cluster_bits;
  const uint64_t data = divide_up(image.guest_size, cluster);
  const uint64_t l2_tables = divide_up(data, cluster / sizeof(uint64_t));
  const uint64_t l1 = l2_tables * sizeof(uint64_t);
  if (l1 > kQcow2MaxL1Bytes) {
    return false;
  }
  // The header, what is set aside for streams, and what divisions leave.
  const uint64_t rest = 2 + divide_up(kBatch, cluster);
  const uint64_t counted = data + l2_tables + divide_up(l1, cluster) + rest;
  const uint64_t blocks = counted / (cluster / sizeof(uint16_t) - 1) + 2;
  const uint64_t table = blocks * sizeof(uint64_t);
  if (table > kMostRefcountTable) {
    return false;
  }
  const uint64_t bytes = (counted + blocks + divide_up(table, cluster) + 1) * cluster;
  // A place in the file is the lower part of the entry of a packed cluster.
  const uint64_t reachable = uint64_t{1} << (62 - (image.cluster_bits - 8));
  return bytes <= std::min(reachable, kOffsetEnd);
}

std::unique_ptr<Target> make_qcow2_target(std::unique_ptr<Target> file, const NewQcow2& image) {
  return std::make_unique<Qcow2Target>(std::move(file), image);
}

}  // namespace vmferry
