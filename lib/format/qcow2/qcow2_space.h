// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "lib/format/qcow2/file_pieces.h"

namespace vmferry {

/// Gives out the space of a new image file, whose first cluster is the header's, and counts how
/// often each cluster is used, in 16 bits. Space is given out from the start of the file to its
/// end, so counts before the end are final soon: memory does not depend on the size of the file.
/// One thread at a time.
class Qcow2Space {
 public:
  explicit Qcow2Space(uint32_t cluster_bits);

  /// New clusters, one behind the other, each used once. Returns where the first one is.
  uint64_t take_clusters(uint64_t count);
  /// Room for a compressed cluster. Streams lie one behind the other, across the borders of
  /// clusters. REQUIRES: 0 < bytes < a cluster.
  uint64_t take_stream(uint64_t bytes);
  /// Where the file ends.
  uint64_t end() const { return end_; }

  /// Appends the refcount blocks that are final, once they are worth a write.
  void write_final_blocks(FilePieces& pieces);

  struct Table {
    uint64_t offset = 0;
    uint64_t clusters = 0;
  };
  /// Appends all other refcount blocks and the refcount table, with which the file ends. Nothing
  /// can be taken after that.
  Table finish(FilePieces& pieces);

 private:
  using Counts = std::vector<uint16_t>;

  Counts& block(uint64_t index);
  void count_use(uint64_t first, uint64_t clusters);
  bool is_final(uint64_t index) const;
  void give_back_rest();

  const uint64_t cluster_;
  const uint64_t per_block_;  ///< clusters that one refcount block counts
  uint64_t end_;              ///< of what was given out; a multiple of a cluster
  /// Where the next stream goes, and where the clusters for streams end.
  uint64_t stream_ = 0;
  uint64_t streams_end_ = 0;
  uint64_t taken_for_streams_ = 0;     ///< bytes
  std::map<uint64_t, Counts> blocks_;  ///< not written yet
  std::vector<uint64_t> table_;        ///< where blocks are; 0: not written yet
  uint64_t written_blocks_ = 0;
};

}  // namespace vmferry
