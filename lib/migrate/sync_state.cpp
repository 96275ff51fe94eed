// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/sync_state.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "lib/migrate/journal.h"
#include "lib/migrate/journal_json.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr int kSyncFormat = 1;

Error unreadable_state(const std::string& path, const std::string& cause) {
  return Error({.kind = ErrorKind::kCorrupt,
                .object = path,
                .action = "read the state of the warm move",
                .cause = cause});
}

}  // namespace

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SyncRound, number, frozen_at, changed, seconds)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SyncedDisk, dev, original, image, volume,
                                                volume_identity, size, overlay, overlay_identity,
                                                layer)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SyncState, request, uuid, host, original_persistent,
                                                disks, stays, rounds)

std::string sync_mark(unsigned number) { return fmt::format("vmferry-sync-{}", number); }

std::string sync_state_path(const std::string& domain, const std::string& state_dir) {
  return (std::filesystem::path(state_dir) / (migrate::state_file_name(domain) + ".sync")).string();
}

std::optional<SyncState> read_sync_state(const std::string& domain, const std::string& state_dir) {
  const std::string path = sync_state_path(domain, state_dir);
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::nullopt;
    }
    throw errno_error(errno, path, "open");
  }
  std::ostringstream text;
  text << file.rdbuf();
  const nlohmann::json json = nlohmann::json::parse(text.str(), nullptr, false);
  if (!json.is_object() || json.value("format", nlohmann::json()) != kSyncFormat) {
    throw unreadable_state(path, "it is damaged, or of another version of vmferry");
  }
  try {
    auto state = json.at("state").get<SyncState>();
    if (state.rounds.empty() || state.disks.empty()) {
      throw unreadable_state(path, "it names no sync, or no disk");
    }
    return state;
  } catch (const nlohmann::json::exception& error) {
    throw unreadable_state(path, error.what());
  } catch (const std::invalid_argument& error) {  // a name that is not known
    throw unreadable_state(path, error.what());
  }
}

namespace migrate {

unsigned round_of(const std::string& mark) {
  const std::string prefix = sync_mark(0).substr(0, sync_mark(0).size() - 1);
  unsigned number = 0;
  if (mark.starts_with(prefix)) {
    std::from_chars(mark.data() + prefix.size(), mark.data() + mark.size(), number);
  }
  return mark == sync_mark(number) ? number : 0;
}

void write_sync_state(const SyncState& state, const std::string& state_dir) {
  const nlohmann::json json = {{"format", kSyncFormat}, {"state", state}};
  replace_file(sync_state_path(state.request.domain, state_dir), json.dump(1));
}

void remove_sync_state(const std::string& domain, const std::string& state_dir) {
  const std::string path = sync_state_path(domain, state_dir);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    throw errno_error(errno, path, "remove");
  }
}

}  // namespace migrate
}  // namespace vmferry
