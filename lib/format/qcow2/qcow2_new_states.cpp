// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_new_states.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "lib/core/printable.h"
#include "lib/core/rounding.h"
#include "lib/format/qcow2/byte_writer.h"
#include "lib/format/qcow2/qcow2_lists.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// QEMU's limits (QCOW_MAX_SNAPSHOTS, QCOW_MAX_SNAPSHOTS_SIZE in block/qcow2.h).
constexpr size_t kMostStates = 65536;
constexpr uint64_t kMostTableBytes = uint64_t{64} << 20;
constexpr uint64_t kLongestStateName = 65535;
constexpr uint64_t kExtraBytes = 24;
constexpr uint64_t kNoInstructionCount = std::numeric_limits<uint64_t>::max();

}  // namespace

void Qcow2NewStates::add(const Point& point, uint64_t size, const Qcow2L1Place& l1,
                         const std::string& object) {
  const auto refuse = [&](std::string cause) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = object,
                 .action = "keep the state '" + printable(point.name.substr(0, 100)) + "'",
                 .cause = std::move(cause),
                 .hint = "name fewer of them with --snapshots"});
  };
  if (count() == kMostStates) {
    refuse(fmt::format("a qcow2 image has {} snapshots at most", kMostStates));
  }
  if (point.name.size() > kLongestStateName) {
    refuse(fmt::format("its name has {} bytes, and qcow2 has room for {}", point.name.size(),
                       kLongestStateName));
  }
  const std::string id = std::to_string(count() + 1);
  const uint64_t variable = kSnapshotEntryHead + kExtraBytes;
  const uint64_t bytes = round_up(variable + id.size() + point.name.size(), 8);
  if (bytes > kMostTableBytes - table_.size()) {
    refuse("the names of all snapshots are too long for one table");
  }
  const size_t at = table_.size();
  table_.resize(at + bytes);
  ByteWriter out{std::span(table_).subspan(at)};
  out.u64(0, l1.offset);
  out.u32(8, l1.entries);
  out.u16(12, id.size());
  out.u16(14, point.name.size());
  newest_seconds_ = std::clamp<int64_t>(point.seconds.value_or(0), newest_seconds_, UINT32_MAX);
  out.u32(16, static_cast<uint64_t>(newest_seconds_));
  out.u32(36, kExtraBytes);
  out.u64(kSnapshotEntryHead + 8, size);
  out.u64(kSnapshotEntryHead + 16, kNoInstructionCount);
  out.text(variable, id);
  out.text(variable + id.size(), point.name);
  l1_.push_back(l1);
  names_.push_back(point.name);
}

}  // namespace vmferry
