// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "vmferry/sync.h"

namespace vmferry {
namespace {

/// What a sync takes beside its bytes, and a cutover after its sync (seconds).
constexpr double kSyncOverhead = 1;
constexpr double kSwitchSeconds = 3;

}  // namespace

std::optional<SyncForecast> forecast(const SyncState& state, int64_t now) {
  if (state.rounds.size() < 2) {
    return std::nullopt;
  }
  const SyncRound& last = state.last();
  const SyncRound& before = state.rounds[state.rounds.size() - 2];
  const auto interval =
      static_cast<double>(std::max<int64_t>(last.frozen_at - before.frozen_at, 1));
  const auto changed = static_cast<double>(last.changed);
  const double since = static_cast<double>(std::max<int64_t>(now - last.frozen_at, 0));
  // What a sync takes beside its bytes is in its seconds already.
  const double per_byte = changed > 0 ? std::max(last.seconds - kSyncOverhead, 0.0) / changed : 0;
  const double rate = changed / interval;
  return SyncForecast{.bytes_a_second = rate,
                      .sync_seconds = std::max(last.seconds, kSyncOverhead),
                      .cutover_seconds = kSyncOverhead + rate * since * per_byte + kSwitchSeconds};
}

}  // namespace vmferry
