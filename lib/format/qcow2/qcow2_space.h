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
/// That holds as long as what is given out is used once and stays in use; for all else there is
/// stop_counting(). One thread at a time.
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
  /// can be taken after that. REQUIRES: is_counting().
  Table finish(FilePieces& pieces);

  /// What was counted is forgotten: somebody else counts when the image is complete.
  void stop_counting();
  bool is_counting() const { return is_counting_; }
  /// The places of a refcount table, and of as many blocks as it takes for all that was given out,
  /// these included.
  struct Blocks {
    Table table;
    std::vector<uint64_t> places;  ///< by index in the table
  };
  /// Takes room for refcounts of 4 bytes each. Nothing can be taken after that. REQUIRES:
  /// !is_counting().
  Blocks take_blocks();

 private:
  using Counts = std::vector<uint16_t>;

  struct Needed {
    uint64_t blocks = 0;
    uint64_t table = 0;  ///< clusters
  };
  Needed needed(uint64_t per_block, uint64_t blocks_there) const;
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
  bool is_counting_ = true;
  std::vector<uint64_t> spare_;  ///< places of blocks that were written before counting stopped
};

}  // namespace vmferry
