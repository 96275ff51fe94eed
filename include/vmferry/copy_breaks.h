// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>

#include "vmferry/api.h"
#include "vmferry/byte_ranges.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// Breaks of a copy, in which somebody changes what it reads, and says where: the copy has closed
/// the image then, opens it anew afterwards, and copies once more what was changed. One thread
/// makes breaks; the copy is another one, with its workers.
class CopyBreaks {
 public:
  // For who changes the image.
  /// Asks the copy to stand still. Until something was read since the last break, it is not asked
  /// before `time` is over: breaks alone are no copy. False: it has not begun to read, or has
  /// ended, or did not stop within `time`; it goes on then.
  bool begin(std::chrono::milliseconds time);
  /// The copy goes on; `changed`: what of the disk may have other bytes now. REQUIRES: begin()
  /// answered true.
  void end(const ByteRanges& changed);
  /// In its place: the image is not to be read any more, and the copy ends with kCancelled.
  void give_up();
  /// How often something was read, or asked about the image: it grows as long as the copy goes on.
  uint64_t reads() const;
  /// Was any break ended?
  bool any() const;
  /// Bytes that were changed, and not taken to be copied again. Once the copy has ended it stays
  /// so.
  uint64_t changed_bytes() const;

  // For the copy.
  using Open = std::function<std::unique_ptr<Source>()>;
  /// From now on there may be breaks. `open` opens the image: now, and after each of them, in any
  /// thread. Throws what that throws. Who waits for the end of a break is stopped by `stop`.
  void attach(Open open, std::stop_token stop);
  /// The image is not read any more.
  void detach();
  /// One reading of the image: no break begins as long as this lives.
  class Reading {
   public:
    /// Waits for the end of a break. Throws Error: kCancelled, or what opening it throws.
    explicit Reading(CopyBreaks& breaks);
    ~Reading();
    Reading(const Reading&) = delete;
    const Source& source() const { return *source_; }

   private:
    CopyBreaks& breaks_;
    const Source* source_;
  };
  /// What was changed since it was taken the last time. Waits for the end of a break; throws
  /// kCancelled.
  ByteRanges take();
  /// Where what was changed since ends, if that is among it; else `offset`.
  uint64_t end_of_changes(uint64_t offset) const;
  /// Where nothing was changed since: true, and there is no break any more until detach().
  bool close();

 private:
  void wait_for_end(std::unique_lock<std::mutex>& lock);

  mutable std::mutex mutex_;
  std::condition_variable_any moved_;
  std::unique_ptr<Source> source_;  ///< null: none, or it is to be opened anew
  Open open_;
  std::stop_token stop_;
  ByteRanges changed_;
  unsigned readers_ = 0;
  uint64_t reads_ = 0;
  uint64_t reads_at_end_ = 0;  ///< of the last break
  bool wanted_ = false;        ///< there is a break, or shall be one
  bool given_up_ = false;      ///< for good
  bool closed_ = false;
  bool any_ = false;
};

}  // namespace VMFERRY_API vmferry
