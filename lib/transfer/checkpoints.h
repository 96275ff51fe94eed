// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vmferry/digest.h"
#include "vmferry/error.h"
#include "vmferry/sink.h"
#include "vmferry/target.h"

namespace vmferry {

/// Are these notes a checkpoint of a copy of the source with that stamp? Whether the target holds
/// what they say is not asked.
bool is_checkpoint_of(const std::string& stamp, const std::map<std::string, std::string>& notes);

/// What a copy writes down of itself: of which source it is, and the digest of each block that is
/// durable. One thread.
class Checkpoints {
 public:
  /// `stamp` and `size` are the source's; `target` is for messages. `notes` must outlive it.
  Checkpoints(TargetNotes& notes, std::string target, std::string stamp, uint64_t size);

  /// Tells `digest` what an earlier run has written down, if it came as far as that. Throws
  /// kConflict: it copied something else, or is a newer vmferry's. What is damaged counts as not
  /// written.
  void load(DiskDigest& digest) const;
  /// What DiskDigest::take_changed_pieces() has answered: save() writes it down.
  void note_changed(const std::vector<uint64_t>& pieces);
  /// Writes down what was noted since the last time, after a barrier of `sink`. Throws what that
  /// throws. What cannot be written down waits for the next time.
  void save(const DiskDigest& digest, Sink& sink);
  /// Is there anything to go on with?
  bool exist() const { return saved_; }

 private:
  std::string header() const;
  void require_same_source(const std::string& header) const;
  std::string sum_of(const std::string& key, const std::string& text) const;

  Error cannot_go_on(std::string cause) const;

  TargetNotes& notes_;
  const std::string target_;
  const std::string stamp_;
  const uint64_t size_;
  std::set<uint64_t> waiting_;  ///< notes to be written
  bool saved_ = false;
};

}  // namespace vmferry
