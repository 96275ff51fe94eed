// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/storage.h"

#include <limits>
#include <utility>

#include "lib/migrate/xml_text.h"
#include "lib/store/rbd/rbd_admin.h"
#include "vmferry/error.h"

namespace vmferry {
namespace migrate {

RbdLocation location_of(const VolumeName& volume) {
  return {.pool = volume.pool, .image = volume.image};
}

HostAndCluster::HostAndCluster(MigrationStorageOptions options)
    : options_(std::move(options)), mon_host_(mon_host_of(options_.monitors)) {}

RbdLocation HostAndCluster::connected_to(const VolumeName& volume) {
  RbdLocation location = location_of(volume);
  // Asked for each time: one that was cut off has been forgotten by then.
  connection_ = hold_ceph_connection(location, options_.ceph);
  return location;
}

void HostAndCluster::about_to_make() const {
  if (options_.before_making) {
    options_.before_making();
  }
}

PoolFacts HostAndCluster::pool(const std::string& pool) {
  constexpr uint64_t kUnknownRoom = std::numeric_limits<uint64_t>::max();
  const RbdPoolState state = rbd_pool_state(pool, options_.ceph);
  if (!state.exists) {
    return {};
  }
  PoolFacts facts = {.exists = true,
                     .for_rbd = state.for_rbd.value_or(true),
                     .full = state.full.value_or(false),
                     .nearly_full = state.nearly_full.value_or(false),
                     .available = state.available.value_or(kUnknownRoom),
                     .health = state.trouble,
                     .overhead = state.overhead.value_or(0),
                     .until_nearly_full = state.until_nearly_full};
  if (options_.layout.data_pool.empty()) {
    return facts;
  }
  const RbdPoolState data = rbd_pool_state(options_.layout.data_pool, options_.ceph);
  facts.for_rbd = facts.for_rbd && data.for_rbd.value_or(true);
  facts.full = facts.full || data.full.value_or(false);
  facts.nearly_full = facts.nearly_full || data.nearly_full.value_or(false);
  facts.available = data.available.value_or(kUnknownRoom);
  facts.overhead = data.overhead.value_or(0);
  facts.until_nearly_full = data.until_nearly_full;
  if (!data.exists) {
    facts.health = "there is no data pool '" + options_.layout.data_pool + "'";
  }
  if (facts.health.empty()) {
    facts.health = data.trouble;
  }
  return facts;
}

void HostAndCluster::prove_access(const std::string& pool) {
  prove_rbd_access(pool, options_.ceph, mon_host_);
  if (!options_.layout.data_pool.empty()) {
    prove_rbd_access(options_.layout.data_pool, options_.ceph, mon_host_);
  }
}

std::optional<Usage> HostAndCluster::volume(const VolumeName& volume) {
  const std::optional<RbdVolumeState> state = rbd_volume_state(connected_to(volume), options_.ceph);
  if (!state) {
    return std::nullopt;
  }
  return Usage{.virtual_bytes = state->size, .allocated_bytes = state->used};
}

std::vector<std::string> HostAndCluster::volumes(const std::string& pool) {
  return rbd_volume_names(pool, options_.ceph);
}

size_t HostAndCluster::writers(const VolumeName& volume) {
  return rbd_volume_writers(connected_to(volume), options_.ceph);
}

std::vector<VolumeClone> HostAndCluster::clones(const VolumeName& volume) {
  std::vector<VolumeClone> found;
  for (const RbdClone& clone : rbd_volume_clones(connected_to(volume), options_.ceph)) {
    found.push_back({.name = clone.trash ? clone.name + " (in the trash)" : clone.name,
                     .remedy = clone.remedy});
  }
  return found;
}

CephOptions for_copying(CephOptions ceph) {
  constexpr unsigned kStall = 600;
  ceph.stall_timeout = kStall;
  return ceph;
}

void HostAndCluster::prove_base(const std::string& base) {
  TargetOptions options;
  options.base = parse_location(base);
  check_target_options(location_of({"pool", "image"}), options);
  open_image(*options.base, {.format = ImageFormat(), .network = {.ceph = options_.ceph}});
}

TargetOptions HostAndCluster::new_target(uint64_t size, const Made& made) const {
  TargetOptions options;
  options.size = size;
  options.network.ceph = for_copying(options_.ceph);
  options.before_making = options_.before_making;
  options.made = [made](const Identity& identity) { made(identity.text); };
  options.notice = options_.notice;
  return options;
}

TargetOptions HostAndCluster::new_volume(uint64_t size, const Made& made) const {
  TargetOptions options = new_target(size, made);
  options.layout = options_.layout;
  return options;
}

void HostAndCluster::create_volume(const VolumeName& volume, uint64_t size, const Made& made) {
  open_target(location_of(volume), new_volume(size, made))->publish();
}

std::string HostAndCluster::identity(const VolumeName& volume) {
  const std::optional<Identity> identity = rbd_volume_identity(connected_to(volume), options_.ceph);
  return identity ? identity->text : "";
}

bool HostAndCluster::remove_volume(const VolumeName& volume,
                                   const std::optional<std::string>& identity) {
  // Clearing up is what follows a stop: only one that comes later ends it.
  const bool clearing_up = options_.stop.stop_requested();
  const std::stop_token stop = clearing_up ? std::stop_token() : options_.stop;
  const std::string found = identity ? this->identity(volume) : "";
  const bool another = !found.empty() && found != *identity;
  if (another) {
    remove_rbd_left_over(location_of(volume), options_.ceph, stop);
  } else {
    // What a move has made, it takes away as a whole.
    const auto snapshots = identity ? SnapshotRemoval::kOfCopy : SnapshotRemoval::kNone;
    remove_rbd_volume(location_of(volume), options_.ceph, snapshots, stop);
  }
  return !another;
}

void HostAndCluster::remove_old_volume(const HostImage& image) const {
  const std::optional<Identity> found = rbd_volume_identity(*image.volume, old_ceph());
  if (found && found->text != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.display(),
                 .action = "remove",
                 .cause = "it is not the volume any more that was copied"});
  }
  remove_rbd_volume(*image.volume, old_ceph(), SnapshotRemoval::kNone, options_.stop);
}

void HostAndCluster::sparsify_volume(const VolumeName& volume) {
  Progress counters;
  const ObservedPhase phase(options_.observer, "sparsify", counters, {});
  sparsify_rbd_volume(location_of(volume), {.may_be_in_use = true,
                                            .ceph = options_.ceph,
                                            .progress =
                                                [&counters](uint64_t done, uint64_t total) {
                                                  counters.data_done = done;
                                                  counters.data_total = total;
                                                  counters.total_known = true;
                                                },
                                            .before_change = {},
                                            .stop = options_.stop});
}

std::string HostAndCluster::user_key() { return ceph_user_key(options_.ceph); }

}  // namespace migrate

std::unique_ptr<MigrationStorage> host_and_cluster(MigrationStorageOptions options) {
  return std::make_unique<migrate::HostAndCluster>(std::move(options));
}

}  // namespace vmferry
