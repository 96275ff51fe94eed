// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>
#include <rbd/librbd.h>

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/copy.h"
#include "vmferry/digest.h"
#include "vmferry/extent.h"

namespace vmferry {

/// What the OSDs compute of the objects of an open volume (rados_read_op_checksum): nothing of them
/// travels. One thread at a time.
class RbdChecksums {
 public:
  /// Are the blocks of a digest ranges of the volume's objects, and is what an object does not have
  /// zero? Then there is one. `image` and `pool` must outlive it. Throws Error.
  static std::unique_ptr<RbdChecksums> of(const RbdPool& pool, rbd_image_t image,
                                          const RbdLocation& location);
  RbdChecksums(const RbdChecksums&) = delete;
  RbdChecksums& operator=(const RbdChecksums&) = delete;
  ~RbdChecksums();

  /// Asks about `blocks`, as long as nobody wants to stop. What is as said, find_different() does
  /// not ask for again. Throws Error. Answers may be missing after it.
  void check_early(std::span<const DiskDigest::Known> blocks, const std::stop_token& stop);

  /// What of the volume is in objects that exist, in order. `pulse` beats. Throws Error.
  std::vector<Extent> find_objects(Pulse& pulse) const;
  /// The blocks that do not hold what `digest` says, in order; what it was not told of is zero, and
  /// only `objects` have data. Nothing: the OSDs cannot compute that. `counters` count the blocks'
  /// bytes. Throws Error; kCancelled at once, though answers may be missing. What was written must
  /// have been flushed.
  std::optional<std::vector<uint64_t>> find_different(const DiskDigest& digest,
                                                      const std::vector<Extent>& objects,
                                                      Progress& counters,
                                                      const std::stop_token& stop);
  /// Waits for the answers that are missing. So does the destructor.
  void drop_questions();

 private:
  struct Question;
  class Questions;

  RbdChecksums(const RbdPool& pool, rbd_image_t image, const RbdLocation& location,
               const rbd_image_info_t& info);
  void open_data_pool();
  std::unique_ptr<Question> ask(uint64_t block, const BlockDigest& digest) const;
  /// Nothing: an OSD that cannot compute.
  std::optional<bool> is_as_said(const Question& question) const;

  const RbdPool& pool_;
  const rbd_image_t image_;
  const RbdLocation location_;
  const uint64_t size_;
  const uint64_t object_size_;
  const std::string prefix_;
  rados_ioctx_t io_ = nullptr;                       ///< of the pool with the data
  bool can_compute_ = true;                          ///< as far as any OSD has said
  DiskDigest good_;                                  ///< what has been found to be there
  std::deque<std::unique_ptr<Question>> questions_;  ///< under way, in their order
};

}  // namespace vmferry
