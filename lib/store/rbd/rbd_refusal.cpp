// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_refusal.h"

#include <rbd/librbd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "lib/core/format_bytes.h"
#include "lib/store/rbd/ceph_monitors.h"

namespace vmferry {
namespace {

using nlohmann::json;

constexpr int kErasureCoded = 3;  // pg_pool_t::TYPE_ERASURE
/// What an object map may have at most (cls::rbd::MAX_OBJECT_MAP_OBJECT_COUNT).
constexpr uint64_t kMostObjects = 256'000'000;
constexpr uint64_t kUsualOrder = 22;

Error refusal(const RbdLocation& location, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = location.display(),
                .action = "create",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

/// Pools with snapshots of their own stay what they are when the last of them is removed.
void refuse_pool_snapshots(const json& pool, const std::string& name, const RbdLocation& location) {
  if (!has_flag(pool.at("flags_names").get<std::string>(), "pool_snaps")) {
    return;
  }
  throw refusal(location,
                "snapshots of the pool '" + name +
                    "' as a whole were made ('ceph osd pool mksnap'); such a pool cannot keep "
                    "volumes any more",
                "choose another pool");
}

void refuse_main_pool(const json& pool, const RbdLocation& location) {
  if (pool.at("type") == kErasureCoded) {
    throw refusal(location,
                  "the pool '" + location.pool +
                      "' is erasure-coded: it can keep the data of a volume, but not the volume",
                  "name a replicated pool, and give this one with --data-pool " + location.pool);
  }
  refuse_pool_snapshots(pool, location.pool, location);
}

void refuse_data_pool(const json& pool, const std::string& name, const RbdLocation& location) {
  if (pool.at("type") == kErasureCoded &&
      !has_flag(pool.at("flags_names").get<std::string>(), "ec_overwrites")) {
    throw refusal(location,
                  "the data pool '" + name + "' is erasure-coded and does not allow overwrites",
                  "'ceph osd pool set " + name + " allow_ec_overwrites true' allows them");
  }
  refuse_pool_snapshots(pool, name, location);
}

uint64_t object_size_of(rados_ioctx_t io, const RbdLayout& layout) {
  if (layout.object_size) {
    return *layout.object_size;
  }
  std::array<char, 64> order = {};
  rados_conf_get(rados_ioctx_get_cluster(io), "rbd_default_order", order.data(), order.size());
  const unsigned long value = std::strtoul(order.data(), nullptr, 10);
  return uint64_t{1} << (value >= 12 && value <= 25 ? value : kUsualOrder);
}

bool lacks(uint64_t features, uint64_t feature, uint64_t needed) {
  return (features & feature) != 0 && (features & needed) == 0;
}

/// Making a volume writes to its own pool only: what may not be done here would be found out by the
/// first write of data, and what is there then could not be removed.
void prove_data_pool(rados_t cluster, const std::string& name, const RbdLocation& location) {
  constexpr std::string_view kObject = "vmferry_access";
  const auto check = [&](int rc) {
    if (rc >= 0) {
      return;
    }
    ErrorParts parts =
        rbd_data_error(rc, location, name, "write to the data pool '" + name + "'").parts();
    if (rc == -EPERM || rc == -EACCES) {
      parts.hint =
          "the Ceph user needs osd 'profile rbd' for that pool as well, or another "
          "--data-pool";
    }
    throw Error(std::move(parts));
  };
  rados_ioctx_t io = nullptr;
  const int rc = rados_ioctx_create(cluster, name.c_str(), &io);
  if (rc == -ENOENT) {
    return;  // making the volume tells
  }
  check(rc);
  const std::unique_ptr<void, decltype(&rados_ioctx_destroy)> destroyed(io, rados_ioctx_destroy);
  rados_ioctx_set_namespace(io, location.name_space.c_str());
  rados_set_pool_full_try(io);  // as RbdPool does
  check(rados_write_full(io, kObject.data(), nullptr, 0));
  rados_remove(io, kObject.data());
}

}  // namespace

void refuse_unfit_pools(const RbdPool& pool, const RbdLocation& location, const RbdLayout& layout) {
  const std::string data_pool =
      layout.data_pool.empty() ? pool.client().setting("rbd_default_data_pool") : layout.data_pool;
  try {
    const auto main = ask_about_pool(pool.client(), location.pool, location);
    if (main) {
      refuse_main_pool(*main, location);
    }
    if (data_pool.empty() || data_pool == location.pool) {
      return;
    }
    const auto data = ask_about_pool(pool.client(), data_pool, location);
    if (data) {
      refuse_data_pool(*data, data_pool, location);
    }
    prove_data_pool(pool.client().get(), data_pool, location);
  } catch (const json::exception&) {
    return;  // a monitor of another version says it in other words: as good as not said
  }
}

Error invalid_volume_error(rados_ioctx_t io, const RbdLocation& location, uint64_t size,
                           const RbdLayout& layout, uint64_t features) {
  const uint64_t object_size = object_size_of(io, layout);
  if (layout.stripe_unit && (*layout.stripe_unit == 0 || object_size % *layout.stripe_unit != 0)) {
    return refusal(location,
                   "a stripe unit of " + exact_bytes(*layout.stripe_unit) +
                       " does not divide the object size of " + exact_bytes(object_size),
                   "choose a stripe unit that does");
  }
  if (lacks(features, RBD_FEATURE_FAST_DIFF, RBD_FEATURE_OBJECT_MAP)) {
    return refusal(location, "the feature fast-diff needs object-map", "add object-map");
  }
  if (lacks(features, RBD_FEATURE_OBJECT_MAP, RBD_FEATURE_EXCLUSIVE_LOCK)) {
    return refusal(location, "the feature object-map needs exclusive-lock", "add exclusive-lock");
  }
  if (lacks(features, RBD_FEATURE_JOURNALING, RBD_FEATURE_EXCLUSIVE_LOCK)) {
    return refusal(location, "the feature journaling needs exclusive-lock", "add exclusive-lock");
  }
  const bool has_map = features == 0 || (features & RBD_FEATURE_OBJECT_MAP) != 0;
  if (has_map && size / object_size >= kMostObjects) {
    return refusal(location,
                   "a volume of " + exact_bytes(size) + " has more objects of " +
                       exact_bytes(object_size) + " than an object map can hold",
                   "choose larger objects (--object-size), or features without object-map");
  }
  return refusal(location, "Ceph refuses to make it (Invalid argument)",
                 "'ceph osd pool ls detail' shows what kind of pool '" + location.pool +
                     "' is; the monitors' log may tell more");
}

}  // namespace vmferry
