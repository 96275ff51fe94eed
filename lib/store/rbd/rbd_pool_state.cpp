// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>

#include "lib/store/rbd/ceph_monitors.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {
namespace {

using nlohmann::json;

// Together, with one operation that fails and one that cleans up after it, less than 10 s.
constexpr unsigned kConnectSeconds = 4;
constexpr unsigned kOperationSeconds = 3;

RbdLocation quick_location(const std::string& pool, const CephOptions& options) {
  const unsigned seconds = std::min(options.timeout, kOperationSeconds);
  return {.pool = pool, .options = {{"rados_osd_op_timeout", std::to_string(seconds)}}};
}

CephOptions quick(CephOptions options) {
  options.timeout = std::min(options.timeout, kConnectSeconds);
  return options;
}

/// One look at one pool.
class PoolObserver {
 public:
  PoolObserver(const CephClient& client, const RbdLocation& location)
      : pool_(location.pool), location_(location), client_(client) {}

  RbdPoolState look() {
    id_ = rados_pool_lookup(client_.get(), pool_.c_str());
    if (id_ == -ENOENT) {
      return state_;
    }
    if (id_ < 0) {
      throw rbd_error(static_cast<int>(id_), location_, "look for the pool");
    }
    state_.exists = true;
    // What a monitor of another version says in other words is as good as not said.
    forgiving([this] { look_at_flags(); });
    forgiving([this] { look_at_overhead(); });
    forgiving([this] { look_at_room(); });
    forgiving([this] { look_at_health(); });
    return state_;
  }

 private:
  template <typename Look>
  static void forgiving(Look look) {
    try {
      look();
    } catch (const json::exception&) {
      return;
    }
  }

  void look_at_flags() {
    detail_ = ask_about_pool(client_, pool_, location_);
    if (!detail_) {
      return;
    }
    state_.for_rbd = detail_->at("application_metadata").contains("rbd");
    const auto flags = detail_->at("flags_names").get<std::string>();
    state_.full = has_flag(flags, "full") || has_flag(flags, "full_quota");
    state_.nearly_full = has_flag(flags, "nearfull") || has_flag(flags, "backfillfull");
    const auto quota = detail_->at("quota_max_bytes").get<uint64_t>();
    if (quota > 0) {
      quota_ = quota;
    }
  }

  /// The size of a replicated pool are its replicas; of an erasure-coded one it is k + m.
  void look_at_overhead() {
    if (!detail_) {
      return;
    }
    const auto size = detail_->at("size").get<double>();
    constexpr int kErasureCoded = 3;  // pg_pool_t::TYPE_ERASURE
    if (detail_->at("type") != kErasureCoded) {
      state_.overhead = size;
      return;
    }
    const auto code = ask_monitors(client_,
                                   {{"prefix", "osd erasure-code-profile get"},
                                    {"name", detail_->at("erasure_code_profile")},
                                    {"format", "json"}},
                                   location_);
    const unsigned long k =
        code ? std::strtoul(code->at("k").get<std::string>().c_str(), nullptr, 10) : 0;
    if (k != 0) {
      state_.overhead = size / static_cast<double>(k);
    }
  }

  /// Room ends for all where the fullest OSD is full; it is scaled as if all were filled alike.
  void look_at_nearly_full(const json& cluster) {
    const auto map = ask_monitors(client_, {{"prefix", "osd dump"}, {"format", "json"}}, location_);
    if (!map || !state_.available) {
      return;
    }
    const auto total = cluster.at("total_bytes").get<double>();
    const auto used = cluster.at("total_used_raw_bytes").get<double>();
    const double until_full = map->at("full_ratio").get<double>() * total - used;
    const double until_nearly = map->at("nearfull_ratio").get<double>() * total - used;
    const double part = until_full > 0 ? std::clamp(until_nearly / until_full, 0.0, 1.0) : 0;
    state_.until_nearly_full = static_cast<uint64_t>(static_cast<double>(*state_.available) * part);
  }

  void look_at_room() {
    const auto report = ask_monitors(client_, {{"prefix", "df"}, {"format", "json"}}, location_);
    if (!report || report->at("stats").at("total_bytes") == 0) {
      return;  // no manager reported yet
    }
    const json* pool = find_pool(report->at("pools"), "name", pool_);
    if (pool == nullptr) {
      return;
    }
    const json& stats = pool->at("stats");
    auto room = stats.at("max_avail").get<uint64_t>();
    if (quota_) {
      const auto stored = stats.at("stored").get<uint64_t>();
      room = std::min(room, *quota_ - std::min(*quota_, stored));
    }
    state_.available = room;
    look_at_nearly_full(report->at("stats"));
  }

  void look_at_health() {
    const auto report = ask_monitors(
        client_, {{"prefix", "health"}, {"detail", "detail"}, {"format", "json"}}, location_);
    if (!report) {
      return;
    }
    for (const auto& [name, check] : report->at("checks").items()) {
      const auto message = check.at("summary").at("message").get<std::string>();
      const bool stops_us = (name == "PG_AVAILABILITY" && is_about_us(check.at("detail"))) ||
                            (name == "OSDMAP_FLAGS" && message.find("pause") != message.npos);
      if (stops_us) {
        state_.trouble += (state_.trouble.empty() ? "" : "; ") + message;
      }
    }
  }

  /// Details read "pg 2.7 is stuck inactive for ...", with the id of the pool before the dot. A
  /// cluster gives the first 50 of them: with so many, some may be ours.
  bool is_about_us(const json& details) const {
    constexpr size_t kMostDetails = 50;
    const std::string ours = fmt::format("pg {}.", id_);
    if (details.empty() || details.size() >= kMostDetails) {
      return true;
    }
    return std::any_of(details.begin(), details.end(), [&](const json& detail) {
      return detail.at("message").get<std::string>().starts_with(ours);
    });
  }

  const std::string& pool_;
  const RbdLocation& location_;
  const CephClient& client_;
  int64_t id_ = -1;
  RbdPoolState state_;
  std::optional<uint64_t> quota_;
  std::optional<json> detail_;
};

/// No two runs anywhere have the same.
std::string object_name() {
  std::random_device random;
  return fmt::format("vmferry_access.{:08x}{:08x}", random(), random());
}

void write_and_read(rados_ioctx_t io, const std::string& object, const RbdLocation& location) {
  auto check = [&](int rc, const char* action) {
    if (rc >= 0) {
      return;
    }
    ErrorParts parts = rbd_error(rc, location, action).parts();
    if (rc == -ETIMEDOUT) {
      parts.cause =
          fmt::format("not done within {} s", location.options.at("rados_osd_op_timeout"));
      parts.hint = "'ceph -s' and 'ceph health detail' tell which OSDs are down";
    }
    throw Error(std::move(parts));
  };
  constexpr std::string_view kText = "written by vmferry to see whether it may\n";
  check(rados_write_full(io, object.c_str(), kText.data(), kText.size()), "write a test object");
  std::array<char, kText.size() + 1> back = {};
  const int got = rados_read(io, object.c_str(), back.data(), back.size(), 0);
  check(got, "read a test object");
  if (std::string_view(back.data(), static_cast<size_t>(got)) != kText) {
    throw Error({.kind = ErrorKind::kIo,
                 .object = location.display(),
                 .action = "read a test object",
                 .cause = "it reads back differently",
                 .hint = "do not trust this pool; see 'ceph health detail'"});
  }
  check(rados_remove(io, object.c_str()), "remove a test object");
}

void prove(const RbdLocation& location, std::shared_ptr<const CephClient> client) {
  const RbdPool pool(location, std::move(client));
  const std::string object = object_name();
  try {
    write_and_read(pool.io(), object, location);
  } catch (...) {
    rados_remove(pool.io(), object.c_str());
    throw;
  }
}

/// A connection that there is already would not show that one can be made.
std::shared_ptr<const CephClient> new_client(const RbdLocation& location,
                                             const CephOptions& options) {
  return connect_to_ceph(location, quick(options), CephSharing::kOwn);
}

}  // namespace

RbdPoolState rbd_pool_state(const std::string& pool, const CephOptions& options) {
  const RbdLocation location = quick_location(pool, options);
  const auto client = new_client(location, options);
  RbdPoolState state = PoolObserver(*client, location).look();
  // The monitors learn late that data cannot be written: nothing but writing tells for sure.
  if (!state.exists || state.full.value_or(false) || !state.trouble.empty()) {
    return state;
  }
  try {
    prove(location, client);
  } catch (const Error& error) {
    state.trouble = error.parts().action + ": " + error.parts().cause;
  }
  return state;
}

void prove_rbd_access(const std::string& pool, const CephOptions& options,
                      const std::string& mon_host) {
  RbdLocation location = quick_location(pool, options);
  if (!mon_host.empty()) {
    location.options["mon_host"] = mon_host;
  }
  prove(location, new_client(location, options));
}

}  // namespace vmferry
