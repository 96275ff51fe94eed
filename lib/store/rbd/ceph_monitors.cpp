// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_monitors.h"

#include <cerrno>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

using nlohmann::json;

std::optional<json> ask_monitors(const CephClient& client, const json& command,
                                 const RbdLocation& location) {
  const std::string text = command.dump();
  const char* commands[] = {text.c_str()};
  char* answer = nullptr;
  size_t length = 0;
  const int rc =
      rados_mon_command(client.get(), commands, 1, "", 0, &answer, &length, nullptr, nullptr);
  const std::string copy = answer == nullptr ? std::string() : std::string(answer, length);
  rados_buffer_free(answer);
  if (rc == -EACCES || rc == -EPERM || rc == -EINVAL) {
    return std::nullopt;
  }
  if (rc < 0) {
    throw rbd_error(rc, location,
                    "ask the monitors for '" + command.at("prefix").get<std::string>() + "'");
  }
  json parsed = json::parse(copy, nullptr, false);
  if (parsed.is_discarded()) {
    return std::nullopt;
  }
  return parsed;
}

std::optional<json> ask_about_pool(const CephClient& client, const std::string& pool,
                                   const RbdLocation& location) {
  const auto pools = ask_monitors(
      client, {{"prefix", "osd pool ls"}, {"detail", "detail"}, {"format", "json"}}, location);
  const json* found = pools ? find_pool(*pools, "pool_name", pool) : nullptr;
  return found == nullptr ? std::nullopt : std::optional<json>(*found);
}

const json* find_pool(const json& pools, const char* key, const std::string& pool) {
  for (const json& each : pools) {
    if (each.at(key) == pool) {
      return &each;
    }
  }
  return nullptr;
}

bool has_flag(std::string_view flags, std::string_view flag) {
  while (!flags.empty()) {
    const size_t comma = flags.find(',');
    if (flags.substr(0, comma) == flag) {
      return true;
    }
    flags.remove_prefix(comma == std::string_view::npos ? flags.size() : comma + 1);
  }
  return false;
}

}  // namespace vmferry
