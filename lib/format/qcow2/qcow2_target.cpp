// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_target.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/format/qcow2/cluster_batch.h"
#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/format/qcow2/qcow2_new_file.h"
#include "lib/format/qcow2/qcow2_new_states.h"
#include "lib/format/qcow2/qcow2_new_tables.h"
#include "lib/format/qcow2/qcow2_recount.h"
#include "lib/format/qcow2/qcow2_space.h"

namespace vmferry {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kCopied = uint64_t{1} << 63;
constexpr uint64_t kCompressed = uint64_t{1} << 62;
constexpr uint64_t kOffsetEnd = uint64_t{1} << 56;  // of places in the file, as entries have them
// What is packed before space is asked for and a write is made.
constexpr uint64_t kBatch = uint64_t{1} << 20;
// For so much of the disk tables of zeros are made before they may be written.
constexpr uint64_t kZeroBatch = uint64_t{256} << 20;
constexpr uint64_t kMostRefcountTable = uint64_t{8} << 20;  // bytes: QEMU's limit

/// How long a file its entries and refcounts can reach.
uint64_t most_bytes_in_file(const NewQcow2& image, uint64_t bytes_per_count) {
  const uint64_t cluster = uint64_t{1} << image.cluster_bits;
  const uint64_t blocks = kMostRefcountTable / sizeof(uint64_t);
  const uint64_t counted = blocks * (cluster / bytes_per_count) * cluster;
  // A place in the file is the lower part of the entry of a packed cluster.
  const uint64_t reachable = uint64_t{1} << (62 - (image.cluster_bits - 8));
  return std::min({counted, reachable, kOffsetEnd});
}

class Qcow2Target : public Target, private Sink {
 public:
  Qcow2Target(std::unique_ptr<Target> file, const NewQcow2& image)
      : file_(std::move(file)),
        bytes_(file_->sink()),
        image_(image),
        cluster_(uint64_t{1} << image.cluster_bits),
        batch_(std::max(kBatch, cluster_)),
        packers_(image.cluster_bits, image.codec, image.level, batch_),
        size_(image.guest_size),
        is_fresh_(!image.link.below),
        space_(image.cluster_bits),
        tables_(image.cluster_bits, image.guest_size,
                image.link.below ? image.link.below->size() : 0) {}

  Sink& sink() override { return *this; }
  bool can_mark() const override { return true; }
  std::vector<std::string> marks(const std::vector<Point>& /*states*/) override {
    return states_.names();
  }

  std::string mark(const Point& point) override {
    require_complete("mark");
    const std::lock_guard lock(mutex_);
    // What comes back has the name that it had.
    Point state = point;
    const std::vector<std::string> taken = states_.names();
    if (!point.first_name.empty() &&
        std::find(taken.begin(), taken.end(), point.first_name) == taken.end()) {
      state.name = point.first_name;
    }
    states_.add(state, divide_up(size_, kSector) * kSector, l1_, name());
    change_completed();
    newest_begins_ = space_.end();
    return state.name;
  }

  void publish() override {
    require_complete("publish");
    write_states();
    Qcow2Header all = header();
    const Qcow2Space::Table refcounts = space_.is_counting() ? write_counts() : count_all(all);
    all.refcount_table_offset = refcounts.offset;
    all.refcount_table_clusters = static_cast<uint32_t>(refcounts.clusters);
    bytes_.set_size(space_.end());
    bytes_.flush();
    write({{0, encode_qcow2_header(all)}});
    bytes_.flush();
    file_->publish();
  }

 private:
  const std::string& name() const override { return bytes_.name(); }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override {
    return {.write_size = static_cast<uint32_t>(batch_),
            .zero_granularity = static_cast<uint32_t>(std::max<uint64_t>(cluster_, 4096)),
            .write_unit = static_cast<uint32_t>(cluster_),
            .starts_zeroed = is_fresh_};
  }
  void check_writes() override { bytes_.check_writes(); }
  std::chrono::milliseconds silent_for() const override { return bytes_.silent_for(); }

  void zero_range(uint64_t offset, uint64_t length) override {
    require_whole_clusters(offset, length);
    for (const uint64_t end = offset + length; offset < end;) {
      const uint64_t step = std::min(kZeroBatch, end - offset);
      FilePieces tables;
      {
        const std::lock_guard lock(mutex_);
        change_completed();
        tables_.set_zeros(cluster_at(offset), divide_up(offset + step, cluster_));
        tables_.keep_within_budget(space_, tables);
        require_room();
        bytes_.grow(space_.end());
      }
      write(std::move(tables));
      offset += step;
    }
  }

  void write_at(uint64_t offset, Slice data) override {
    require_whole_clusters(offset, data.size());
    for (uint64_t at = 0; at < data.size(); at += batch_) {
      write_batch({.offset = offset + at,
                   .data = data.part(at, std::min<uint64_t>(batch_, data.size() - at))});
    }
  }

  void set_size(uint64_t size) override {
    if (size == size_) {
      return;
    }
    NewQcow2 image = image_;
    image.guest_size = size;
    require_mappable(image, name());
    const std::lock_guard lock(mutex_);
    change_completed();
    if (size < size_) {
      space_.stop_counting();  // clusters behind the new end may be in no table any more
    }
    tables_.resize(size);
    size_ = size;
  }

  void barrier() override { bytes_.barrier(); }

  void flush() override {
    if (!is_complete_) {
      const std::unique_ptr<Source> before = tables_.needs_file() ? new_file_.written() : nullptr;
      l1_ = {tables_.complete(space_, before.get(),
                              [this](FilePieces pieces) { write(std::move(pieces)); }),
             tables_.l1_entries()};
      require_room();
      bytes_.grow(space_.end());
      is_complete_ = true;
    }
    bytes_.flush();
  }

  std::unique_ptr<Source> read_back() override {
    require_complete("read back");
    write_states();
    Qcow2Header written = header();
    written.virtual_size = size_;  // without what fills up its last sector
    return open_qcow2({.file = bytes_.read_back(), .backing = image_.link.below}, written);
  }

  void require_complete(const char* action) const {
    if (!is_complete_) {
      throw std::logic_error(std::string(action) + " before flush");
    }
  }

  void require_whole_clusters(uint64_t offset, uint64_t length) const {
    const uint64_t end = offset + length;
    if (offset % cluster_ != 0 || (end % cluster_ != 0 && end != size())) {
      throw std::logic_error("a part of a cluster is written");
    }
  }

  /// REQUIRES: mutex_ held.
  void change_completed() {
    if (is_complete_) {
      is_complete_ = false;
      is_fresh_ = false;
      space_.stop_counting();
      tables_.begin_next();
    }
  }

  /// The image of one state has room for all (can_map); no one knows how many others there will be.
  void require_room() const {
    const uint64_t most = most_bytes_in_file(image_, sizeof(uint32_t));
    const uint64_t for_counts = most / 64;
    if (space_.is_counting() || space_.end() <= most - for_counts) {
      return;
    }
    throw Error(
        {.kind = ErrorKind::kUnsupported,
         .object = name(),
         .action = "keep states of the disk",
         .cause = "all of them together are too large for clusters of " + exact_bytes(cluster_),
         .hint = "choose a larger --cluster-size"});
  }

  uint64_t cluster_at(uint64_t offset) const { return offset / cluster_; }

  void write_batch(ClusterBatch batch) {
    packers_.pack(batch);
    FilePieces tables;
    {
      const std::lock_guard lock(mutex_);
      change_completed();
      place(batch);
      tables_.keep_within_budget(space_, tables);
      space_.write_final_blocks(tables);
      require_room();
      bytes_.grow(space_.end());
    }
    write_plain(batch);
    write_packed(batch);
    write(std::move(tables));
  }

  /// REQUIRES: mutex_ held.
  void place(ClusterBatch& batch) {
    for (const uint64_t zero : batch.zeros) {
      tables_.set_zeros(zero, zero + 1);
    }
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

  void write(FilePieces pieces) { new_file_.write(std::move(pieces)); }

  /// Of the state that is complete.
  Qcow2Header header() const {
    constexpr uint64_t kHasCompressionType = uint64_t{1} << 3;
    Qcow2Header header;
    header.version = 3;
    header.cluster_bits = image_.cluster_bits;
    header.virtual_size = divide_up(size_, kSector) * kSector;
    header.l1_offset = l1_.offset;
    header.l1_entries = static_cast<uint32_t>(l1_.entries);
    header.codec = image_.codec.value_or(ClusterCodec::kDeflate);
    header.incompatible_features = header.codec == ClusterCodec::kDeflate ? 0 : kHasCompressionType;
    header.snapshot_count = static_cast<uint32_t>(states_in_table_);
    header.snapshots_offset = states_offset_;
    add_link(image_.link, header);
    return header;
  }

  /// The table of snapshots, unless it was written since the last mark().
  void write_states() {
    if (states_in_table_ == states_.count()) {
      return;
    }
    states_offset_ = space_.take_clusters(divide_up(states_.table_bytes(), cluster_));
    bytes_.grow(space_.end());
    FilePieces pieces;
    states_.append(pieces, states_offset_);
    write(std::move(pieces));
    bytes_.flush();
    states_in_table_ = states_.count();
  }

  Qcow2Space::Table write_counts() {
    FilePieces pieces;
    const Qcow2Space::Table counts = space_.finish(pieces);
    bytes_.grow(space_.end());
    write(std::move(pieces));
    return counts;
  }

  Qcow2Space::Table count_all(Qcow2Header& header) {
    Qcow2Uses uses{.cluster_bits = image_.cluster_bits,
                   .states = states_.l1(),
                   .newest_begins = newest_begins_,
                   .others = {{0, cluster_}}};
    uses.states.push_back(l1_);
    if (header.snapshot_count > 0) {
      uses.others.push_back({header.snapshots_offset, states_.table_bytes()});
    }
    header.refcount_order = 5;
    return recount(uses, space_, new_file_);
  }

  const std::unique_ptr<Target> file_;
  Sink& bytes_;
  const NewQcow2 image_;
  const uint64_t cluster_;
  const uint64_t batch_;
  ClusterPackers packers_;
  Qcow2NewFile new_file_{bytes_};
  Qcow2NewStates states_;
  size_t states_in_table_ = 0;  ///< of snapshots, which is in the file
  uint64_t states_offset_ = 0;
  uint64_t newest_begins_ = 0;  ///< in the file: what was taken since the last mark()
  Qcow2L1Place l1_;             ///< of what is complete
  std::mutex mutex_;  // guards what follows, until flush(); held for no reading or writing
  uint64_t size_;
  bool is_complete_ = false;  ///< the tables of what was written are in the file
  bool is_fresh_;             ///< what was not written is zero
  Qcow2Space space_;
  Qcow2NewTables tables_;
};

}  // namespace

bool can_map(const NewQcow2& image) {
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
  const uint64_t bytes = (counted + blocks + divide_up(table, cluster) + 1) * cluster;
  return bytes <= most_bytes_in_file(image, sizeof(uint16_t));
}

void require_mappable(const NewQcow2& image, const std::string& object) {
  if (can_map(image)) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = object,
               .action = "make a qcow2 image",
               .cause = fmt::format("a disk of {} is too large for clusters of {}",
                                    exact_bytes(image.guest_size),
                                    exact_bytes(uint64_t{1} << image.cluster_bits)),
               .hint = "choose a larger --cluster-size"});
}

std::unique_ptr<Target> make_qcow2_target(std::unique_ptr<Target> file, const NewQcow2& image) {
  return std::make_unique<Qcow2Target>(std::move(file), image);
}

}  // namespace vmferry
