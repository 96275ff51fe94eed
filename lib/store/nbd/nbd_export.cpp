// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/nbd/nbd_export.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/core/rounding.h"
#include "lib/core/zeros.h"
#include "vmferry/error.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kConnecting{30'000};
// Servers have been seen to accept fewer connections than they allow, and to leave the others
// waiting (qemu-nbd --shared).
constexpr milliseconds kConnectingOneMore{2000};
constexpr size_t kMostConnections = 8;
constexpr uint32_t kUsualMost = 32 << 20;     // what servers take that do not say (the protocol)
constexpr uint32_t kLargestBlock = 64 << 10;  // the protocol's
constexpr uint32_t kSector = 512;
constexpr uint64_t kMostZeroedFast = 1 << 30;  // requests are of less than 4 GiB
// A server may answer with one extent at a time. Beyond this all that is left is data.
constexpr unsigned kMostQuestions = 4096;
constexpr size_t kMostExtents = 1 << 18;
// Of one on this host or in the same room, reads take a tenth of that.
constexpr milliseconds kFar{2};

Error odd_export(const std::string& name, std::string cause) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = name,
                .action = "open",
                .cause = std::move(cause),
                .hint = "see how the server was started"});
}

/// A server that does not say takes sectors, as a rule; a size that is not of whole ones says that
/// it takes bytes (QEMU's nbd_refresh_limits judges alike).
uint32_t block_of(nbd_handle* handle, uint64_t size, const std::string& name) {
  const int64_t said = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
  if (said <= 0) {
    return size % kSector == 0 ? kSector : 1;
  }
  if (said > kLargestBlock || !std::has_single_bit(static_cast<uint64_t>(said))) {
    throw odd_export(name, "the server's smallest block is " + exact_bytes(said));
  }
  return static_cast<uint32_t>(said);
}

uint32_t most_of(nbd_handle* handle, uint32_t block, const std::string& name) {
  const int64_t said = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);
  const int64_t most = said <= 0 ? kUsualMost : std::min<int64_t>(said, kUsualMost);
  if (most < block) {
    throw odd_export(name, "the server's largest block, " + exact_bytes(most) +
                               ", is shorter than its smallest");
  }
  return static_cast<uint32_t>(most / block * block);
}

NbdFacts facts_of(nbd_handle* handle, const std::string& name) {
  const int64_t size = nbd_get_size(handle);
  if (size < 0) {
    throw odd_export(name, "the server names a size of more than 63 bits");
  }
  NbdFacts facts;
  facts.size = static_cast<uint64_t>(size);
  facts.block = block_of(handle, facts.size, name);
  facts.most = most_of(handle, facts.block, name);
  facts.has_extents = nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
  facts.multi_conn = nbd_can_multi_conn(handle) > 0;
  facts.read_only = nbd_is_read_only(handle) != 0;
  facts.can_zero = nbd_can_zero(handle) > 0;
  facts.can_zero_fast = facts.can_zero && nbd_can_fast_zero(handle) > 0;
  facts.can_flush = nbd_can_flush(handle) > 0;
  if (facts.size % facts.block != 0) {
    throw odd_export(name, "its size, " + exact_bytes(facts.size) +
                               ", is not a multiple of the server's smallest block, " +
                               exact_bytes(facts.block) + ": nobody can read its end");
  }
  return facts;
}

}  // namespace

std::string libnbd_version() {
  nbd_handle* const handle = nbd_create();
  std::string version = handle == nullptr ? "" : nbd_get_version(handle);
  nbd_close(handle);
  return version;
}

NbdExport::NbdExport(NbdAddress address, const NbdOptions& options)
    : address_(std::move(address)),
      name_(options.name.empty() ? address_.display() : options.name),
      patience_{.connecting = std::min<milliseconds>(kConnecting, options.silence),
                .silence = options.silence,
                .stop = options.stop} {
  auto first = std::make_unique<NbdConnection>(address_, name_, patience_, pulse_);
  facts_ = facts_of(first->handle(), name_);
  identity_ = {"nbd " + first->peer(address_) + " " + address_.export_name};
  may_grow_ = facts_.multi_conn;
  zeroes_fast_ = facts_.can_zero_fast;
  members_.push_back(std::make_unique<Member>(Member{std::move(first)}));
}

/// The connection with the fewest users; a new one where all have some.
NbdExport::Member& NbdExport::take() {
  const auto fewer = [](const auto& a, const auto& b) { return a->users < b->users; };
  std::unique_lock lock(mutex_);
  if (users_++ == 0) {
    pulse_.beat();
  }
  if (may_grow_ && members_.size() < kMostConnections &&
      (*std::min_element(members_.begin(), members_.end(), fewer))->users > 0) {
    may_grow_ = false;  // one at a time
    lock.unlock();
    add_connection();
    lock.lock();
  }
  Member& member = **std::min_element(members_.begin(), members_.end(), fewer);
  ++member.users;
  return member;
}

void NbdExport::give_back(Member& member) {
  const std::lock_guard lock(mutex_);
  --member.users;
  --users_;
}

/// Where that fails there are no more: those that are there do. They tell of a stop as well.
void NbdExport::add_connection() {
  try {
    const NbdPatience patience = {std::min(kConnectingOneMore, patience_.connecting),
                                  patience_.silence, patience_.stop};
    auto member = std::make_unique<Member>(
        Member{std::make_unique<NbdConnection>(address_, name_, patience, pulse_)});
    if (facts_of(member->connection->handle(), name_).size != facts_.size) {
      return;
    }
    const std::lock_guard lock(mutex_);
    members_.push_back(std::move(member));
    may_grow_ = true;
  } catch (const Error&) {
    return;
  }
}

std::chrono::milliseconds NbdExport::silent_for() const {
  return users_ == 0 ? milliseconds(0)
                     : std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() -
                                                                pulse_.last());
}

/// Calls `part` for what is not a whole block, at both ends, and `blocks` for what is between.
template <typename Part, typename Blocks>
void NbdExport::by_blocks(uint64_t offset, uint64_t length, const Part& part,
                          const Blocks& blocks) const {
  const uint64_t block = facts_.block;
  const uint64_t end = offset + length;
  for (uint64_t at = offset; at < end;) {
    const bool is_part = at % block != 0 || end - at < block;
    const uint64_t next = is_part ? std::min(end, (at / block + 1) * block) : end / block * block;
    if (is_part) {
      part(at, next - at);
    } else {
      blocks(at, next - at);
    }
    at = next;
  }
}

void NbdExport::read(uint64_t offset, std::span<std::byte> out) {
  const auto begin = std::chrono::steady_clock::now();
  by_blocks(
      offset, out.size(),
      [&](uint64_t at, size_t length) { read_part_of_block(at, out.subspan(at - offset, length)); },
      [&](uint64_t at, size_t length) {
        Lease(*this)->read(at, out.subspan(at - offset, length), facts_.most);
      });
  if (!out.empty()) {
    note_time(std::chrono::steady_clock::now() - begin);
  }
}

void NbdExport::note_time(std::chrono::nanoseconds read) {
  std::chrono::nanoseconds known = quickest_;
  while (read < known && !quickest_.compare_exchange_weak(known, read)) {
  }
}

bool NbdExport::is_far() {
  if (quickest_.load() == kNeverRead) {
    try {
      std::byte first;
      read(0, {&first, std::min<size_t>(1, facts_.size)});
    } catch (const Error&) {
      return false;  // who wants to read it is told
    }
  }
  return quickest_.load() >= kFar;
}

void NbdExport::write(uint64_t offset, std::span<const std::byte> data) {
  by_blocks(
      offset, data.size(),
      [&](uint64_t at, size_t length) {
        write_part_of_block(at, data.subspan(at - offset, length));
      },
      [&](uint64_t at, size_t length) {
        Lease(*this)->write(at, data.subspan(at - offset, length), facts_.most);
      });
}

void NbdExport::zero(uint64_t offset, uint64_t length) {
  static constexpr std::array<std::byte, kLargestBlock> kZeros = {};
  by_blocks(
      offset, length,
      [&](uint64_t at, size_t count) {
        write_part_of_block(at, std::span<const std::byte>(kZeros).first(count));
      },
      [&](uint64_t at, uint64_t count) { zero_blocks(at, count); });
}

void NbdExport::zero_blocks(uint64_t offset, uint64_t length) {
  if (zeroes_fast_) {
    if (Lease(*this)->zero_fast(offset, length, kMostZeroedFast)) {
      return;
    }
    zeroes_fast_ = false;
  }
  if (facts_.can_zero) {
    return Lease(*this)->zero(offset, length, kUsualMost);
  }
  static const std::vector<std::byte> kZeros(1 << 20);
  for (uint64_t at = 0; at < length; at += kZeros.size()) {
    const size_t count = std::min<uint64_t>(kZeros.size(), length - at);
    Lease(*this)->write(offset + at, std::span(kZeros).first(count), facts_.most);
  }
}

bool NbdExport::flush() {
  if (facts_.can_flush) {
    Lease(*this)->flush();
  }
  return facts_.can_flush;
}

void NbdExport::write_part_of_block(uint64_t offset, std::span<const std::byte> data) {
  const std::lock_guard lock(part_mutex_);
  std::vector<std::byte> whole(facts_.block);
  const uint64_t begin = offset / facts_.block * facts_.block;
  const Lease lease(*this);
  lease->read(begin, whole, facts_.most);
  std::copy(data.begin(), data.end(), whole.begin() + static_cast<std::ptrdiff_t>(offset - begin));
  lease->write(begin, whole, facts_.most);
}

bool NbdExport::reads_as_zero(uint64_t offset, uint64_t length) {
  constexpr uint64_t kStep = 1 << 30;
  for (uint64_t at = offset; at < offset + length; at += kStep) {
    if (!data_in(at, std::min(kStep, offset + length - at)).empty()) {
      return false;
    }
  }
  return true;
}

void NbdExport::read_part_of_block(uint64_t offset, std::span<std::byte> out) {
  std::vector<std::byte> whole(facts_.block);
  const uint64_t begin = offset / facts_.block * facts_.block;
  Lease(*this)->read(begin, whole, facts_.most);
  std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(offset - begin), out.size(), out.begin());
}

std::vector<Extent> NbdExport::data_in(uint64_t offset, uint64_t length) {
  const uint64_t end = offset + length;
  std::vector<Extent> data;
  uint64_t at = offset;
  try {
    for (unsigned asked = 0; at < end && asked < kMostQuestions && data.size() < kMostExtents;
         ++asked) {
      if (!facts_.has_extents) {
        break;
      }
      const uint64_t from = at / facts_.block * facts_.block;
      const uint64_t to = round_up(end, facts_.block);
      for (const Extent& extent : Lease(*this)->block_status(from, to - from)) {
        const uint64_t stop = std::min(end, extent.end());
        if (stop <= at) {
          continue;
        }
        if (!extent.is_zero()) {
          append_run(data, {at, stop - at, ExtentKind::kData});
        }
        at = stop;
      }
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kCancelled) {
      throw;
    }
    // The rest is data: whether the server answers at all, reading it tells.
  }
  if (at < end) {
    append_run(data, {at, end - at, ExtentKind::kData});
  }
  return data;
}

}  // namespace vmferry
