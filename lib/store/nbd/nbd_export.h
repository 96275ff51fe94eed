// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/store/nbd/nbd.h"
#include "lib/store/nbd/nbd_connection.h"

namespace vmferry {

/// What a server says of an export when somebody connects. Bytes.
struct NbdFacts {
  uint64_t size = 0;
  uint32_t block = 1;        ///< requests are multiples of this; a power of two
  uint32_t most = 0;         ///< what one request may carry; a multiple of `block`
  bool has_extents = false;  ///< base:allocation
  bool multi_conn = false;
  bool read_only = false;
  bool can_zero = false;
  bool can_zero_fast = false;  ///< or say at once that it is no faster than writing
  bool can_flush = false;
};

/// An export, over as many connections as are of use and allowed. Any thread. Any offsets and
/// lengths within the size.
class NbdExport {
 public:
  /// Connects. Throws Error.
  NbdExport(NbdAddress address, const NbdOptions& options);

  const std::string& name() const { return name_; }
  const NbdFacts& facts() const { return facts_; }
  const Identity& identity() const { return identity_; }

  /// Fills `out`, or throws Error.
  void read(uint64_t offset, std::span<std::byte> out);
  /// Has each read so far taken long? The first byte is read to see that, if nothing was.
  bool is_far();
  /// Where the data is within the range: sorted, apart. What the server does not tell is data.
  /// Throws kCancelled when stopped, and nothing else.
  std::vector<Extent> data_in(uint64_t offset, uint64_t length);
  /// Does the server say that all of the range reads as zero?
  bool reads_as_zero(uint64_t offset, uint64_t length);

  // These return when the server has answered. What else is in a block of the server stays.
  void write(uint64_t offset, std::span<const std::byte> data);
  void zero(uint64_t offset, uint64_t length);
  /// All that was written is stored. False: the server cannot.
  bool flush();

  /// How long the server has been silent, though something is asked of it.
  std::chrono::milliseconds silent_for() const;

 private:
  static constexpr std::chrono::nanoseconds kNeverRead = std::chrono::nanoseconds::max();

  struct Member {
    std::unique_ptr<NbdConnection> connection;
    unsigned users = 0;
  };
  /// A share of a connection, as long as it lives.
  class Lease {
   public:
    explicit Lease(NbdExport& of) : of_(of), member_(of.take()) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() { of_.give_back(member_); }
    NbdConnection* operator->() const { return member_.connection.get(); }

   private:
    NbdExport& of_;
    Member& member_;
  };

  Member& take();
  void give_back(Member& member);
  void add_connection();
  void note_time(std::chrono::nanoseconds read);
  void read_part_of_block(uint64_t offset, std::span<std::byte> out);
  void write_part_of_block(uint64_t offset, std::span<const std::byte> data);
  void zero_blocks(uint64_t offset, uint64_t length);
  template <typename Part, typename Blocks>
  void by_blocks(uint64_t offset, uint64_t length, const Part& part, const Blocks& blocks) const;

  const NbdAddress address_;
  const std::string name_;
  const NbdPatience patience_;
  Pulse pulse_;
  NbdFacts facts_;
  Identity identity_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Member>> members_;
  bool may_grow_ = false;
  std::atomic<unsigned> users_ = 0;
  std::atomic<std::chrono::nanoseconds> quickest_ = kNeverRead;  ///< of all reads
  std::mutex part_mutex_;                                        ///< one writes a part of a block
  std::atomic<bool> zeroes_fast_ = false;
};

}  // namespace vmferry
