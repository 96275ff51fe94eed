// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/sync_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/ui/output.h"

namespace vmferry::cli {
namespace {

uint64_t a_second(uint64_t bytes, double seconds) {
  return seconds > 0 ? static_cast<uint64_t>(static_cast<double>(bytes) / seconds) : 0;
}

}  // namespace

std::string sync_text(const SyncState& state, int64_t now, std::optional<uint64_t> room) {
  const SyncRound& last = state.last();
  std::string text = fmt::format("{}: sync {}: {} copied in {:.1f} s ({} a second)\n",
                                 state.request.domain, last.number, about_bytes(last.changed),
                                 last.seconds, about_bytes(a_second(last.changed, last.seconds)));
  for (const SyncedDisk& disk : state.disks) {
    text += fmt::format("  {:<6} {}@{}\n         the guest writes to {}\n", disk.dev,
                        disk.volume.display(), sync_mark(last.number),
                        disk.overlay.empty() ? disk.original : disk.overlay);
  }
  if (room) {
    text += fmt::format("  {} free where that grows\n", about_bytes(*room));
  }
  if (const auto next = forecast(state, now)) {
    text += fmt::format(
        "  the guest changes {} a second; a sync after as long again takes about {:.0f} s, a live "
        "cutover now about {:.0f} s\n",
        about_bytes(static_cast<uint64_t>(next->bytes_a_second)), next->sync_seconds,
        next->cutover_seconds);
  }
  std::string lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines += printable(text.substr(at, end - at)) + "\n";
    at = end + 1;
  }
  return lines;
}

std::string sync_json(const SyncState& state, int64_t now, std::optional<uint64_t> room) {
  using Json = nlohmann::ordered_json;
  const SyncRound& last = state.last();
  Json disks = Json::array();
  for (const SyncedDisk& disk : state.disks) {
    disks.push_back({{"disk", disk.dev},
                     {"from", disk.original},
                     {"to", disk.volume.display()},
                     {"snapshot", sync_mark(last.number)}});
    if (!disk.overlay.empty()) {
      disks.back()["overlay"] = disk.overlay;
    }
  }
  Json json = {{"domain", state.request.domain},
               {"end", "synced"},
               {"sync", last.number},
               {"frozen_at", utc_time({.tv_sec = last.frozen_at, .tv_nsec = 0})},
               {"changed_bytes", last.changed},
               {"seconds", last.seconds},
               {"disks", disks}};
  if (room) {
    json["overlay_room"] = *room;
  }
  if (const auto next = forecast(state, now)) {
    json["expected"] = {{"changed_bytes_a_second", next->bytes_a_second},
                        {"sync_seconds", next->sync_seconds},
                        {"cutover_seconds", next->cutover_seconds}};
  }
  return json_text(json);
}

}  // namespace vmferry::cli
