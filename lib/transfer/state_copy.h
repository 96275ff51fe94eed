// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <vector>

#include "lib/transfer/checkpoints.h"
#include "lib/transfer/follower.h"
#include "vmferry/digest.h"
#include "vmferry/error.h"
#include "vmferry/observer.h"
#include "vmferry/transfer.h"

namespace vmferry {

/// Copies one state of a disk to a target, flushes and verifies it: transfer() without the name.
/// One thread. What it is given must outlive it.
class StateCopy {
 public:
  /// Throws kUsage: the target has another size than the source.
  StateCopy(const Source& source, Target& target, const TransferOptions& options,
            Observer* observer);

  /// Throws the first Error.
  TransferResult run();
  /// `error` of run(), or of what followed; what was copied stays where that is of use.
  Error kept(const Error& error);

 private:
  bool makes_checkpoints() const;
  void choose_digest();
  void take_up(TransferResult& result);
  void zero_different();
  std::vector<uint64_t> find_different(Progress& counters);
  CopyResult copy_rest();
  CopyResult copy_to(Sink& sink, const Source& source, const CopyOptions& options,
                     Progress& counters);
  static void finish(std::optional<Follower>& follower);
  void start_following(std::optional<Follower>& follower, std::stop_source& ended);
  Verify verify();
  bool verify_by_checksums();
  void verify_by_digest();
  void verify_by_reading();
  void save_last();
  bool is_worth_keeping(const Error& error) const;

  const Source& source_;
  Target& target_;
  Sink& sink_;
  const TransferOptions& options_;
  Observer* const observer_;
  std::optional<DiskDigest> own_;
  DiskDigest* digest_ = nullptr;
  std::chrono::steady_clock::time_point digest_from_ = {};
  bool by_checksums_ = false;
  std::optional<Checkpoints> checkpoints_;
  uint64_t base_bytes_ = 0;
  bool is_wrong_ = false;  ///< what was written
};

/// `error`, with the hint that what was copied to `target` stays, which it does from now on.
Error kept_in(Target& target, const Error& error);

}  // namespace vmferry
