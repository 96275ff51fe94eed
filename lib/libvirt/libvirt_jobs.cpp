// SPDX-License-Identifier: LGPL-2.1-or-later
#include <libvirt/libvirt-qemu.h>

#include "lib/libvirt/libvirt_guest.h"
#include "lib/libvirt/libvirt_host.h"
#include "lib/libvirt/live_disk.h"
#include "lib/libvirt/monitor.h"

namespace vmferry::libvirt {
namespace {

constexpr uint64_t kMiB = 1 << 20;

unsigned migration_flags(const LiveMigration& migration) {
  // The source's definition goes only after the checks that follow.
  unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_ABORT_ON_ERROR;
  if (!migration.copy_disks.empty()) {
    flags |= VIR_MIGRATE_NON_SHARED_DISK;
  }
  if (migration.tls) {
    flags |= VIR_MIGRATE_TLS;
  }
  if (migration.auto_converge) {
    flags |= VIR_MIGRATE_AUTO_CONVERGE;
  }
  if (migration.parallel != 0) {
    flags |= VIR_MIGRATE_PARALLEL;
  }
  if (migration.synchronous_writes && !migration.copy_disks.empty()) {
    flags |= VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES;
  }
  return flags;
}

}  // namespace

void LibvirtGuest::snapshot(const std::string& snapshot_definition, bool quiesce) {
  unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                   VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
  if (quiesce) {
    flags |= VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE;
  }
  const SnapshotPtr made(
      virDomainSnapshotCreateXML(find().get(), snapshot_definition.c_str(), flags));
  if (!made) {
    throw libvirt_error(label(), "take an external snapshot");
  }
}

void LibvirtGuest::block_copy(const std::string& dev, const std::string& disk,
                              const BlockCopyOptions& options) {
  unsigned flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
  if (options.shallow) {
    flags |= VIR_DOMAIN_BLOCK_COPY_SHALLOW;
  }
  if (options.synchronous_writes) {
    flags |= VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES;
  }
  Parameters parameters;
  if (options.bandwidth != 0) {
    parameters.add(VIR_DOMAIN_BLOCK_COPY_BANDWIDTH,
                   static_cast<unsigned long long>(options.bandwidth));
  }
  check(virDomainBlockCopy(find().get(), dev.c_str(), disk.c_str(), *parameters.list(),
                           *parameters.count(), flags),
        "start a block copy of " + dev);
}

void LibvirtGuest::commit_active(const std::string& dev, uint64_t bandwidth) {
  // Shallow: into the image right below, however long the chain.
  const unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW |
                         VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES;
  check(virDomainBlockCommit(find().get(), dev.c_str(), nullptr, nullptr, bandwidth, flags),
        "commit the overlay of " + dev);
}

void LibvirtGuest::commit_layer(const std::string& dev, const std::string& top,
                                const std::string& base) {
  check(virDomainBlockCommit(find().get(), dev.c_str(), base.c_str(), top.c_str(), 0, 0),
        "commit the layer " + top + " of " + dev);
}

std::optional<BlockJob> LibvirtGuest::block_job(const std::string& dev) {
  virDomainBlockJobInfo info = {};
  const int rc = virDomainGetBlockJobInfo(find().get(), dev.c_str(), &info, 0);
  if (rc < 0) {
    throw libvirt_error(label(), "ask for the block job of " + dev);
  }
  if (rc == 0) {
    return std::nullopt;
  }
  BlockJob job;
  if (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COPY) {
    job.kind = BlockJob::Kind::kCopy;
  }
  if (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT) {
    job.kind = BlockJob::Kind::kActiveCommit;
  }
  if (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT) {
    job.kind = BlockJob::Kind::kCommit;
  }
  job.done = info.cur;
  job.total = info.end;
  const MirrorFacts mirror = mirror_facts(definition(DefinitionKind::kLive), dev);
  job.target = mirror.target;
  // Equal numbers are not enough: only the definition says that libvirt saw the ready event.
  job.ready = info.cur == info.end && mirror.ready;
  return job;
}

void LibvirtGuest::limit_block_job(const std::string& dev, uint64_t bandwidth) {
  check(virDomainBlockJobSetSpeed(find().get(), dev.c_str(), bandwidth,
                                  VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES),
        "limit the block job of " + dev);
}

void LibvirtGuest::pivot(const std::string& dev) {
  check(virDomainBlockJobAbort(find().get(), dev.c_str(), VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT),
        "pivot " + dev);
}

void LibvirtGuest::abort_block_job(const std::string& dev) {
  check(virDomainBlockJobAbort(find().get(), dev.c_str(), VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC),
        "abort the block job of " + dev);
}

void LibvirtGuest::let_discard(const std::string& dev) {
  const libvirt::LiveImage image = libvirt::live_image(definition(DefinitionKind::kLive), dev);
  if (!image.discard.empty()) {
    return;  // libvirt passed it on to this image, too
  }
  const std::string nodes = ask_monitor(libvirt::query_nodes());
  libvirt::check_answer(ask_monitor(libvirt::reopen_with_discard(nodes, image.index)));
}

void LibvirtGuest::close_unused_volume(const std::string& pool, const std::string& image) {
  const std::string nodes = ask_monitor(libvirt::query_nodes());
  for (const std::string& command : libvirt::commands_to_forget(nodes, pool, image)) {
    ask_monitor(command);
  }
}

std::vector<std::string> LibvirtGuest::migration_blockers() {
  return libvirt::migration_blockers(ask_monitor(libvirt::query_migration()));
}

std::string LibvirtGuest::run_state() {
  return libvirt::run_state(ask_monitor(libvirt::query_run_state()));
}

std::optional<MigrationStats> LibvirtGuest::migration_stats() {
  Parameters stats;
  int type = VIR_DOMAIN_JOB_NONE;
  if (virDomainGetJobStats(find().get(), &type, stats.list(), stats.count(), 0) != 0) {
    throw libvirt_error(label(), "ask how far its migration is");
  }
  if (type != VIR_DOMAIN_JOB_BOUNDED && type != VIR_DOMAIN_JOB_UNBOUNDED) {
    return std::nullopt;
  }
  const uint64_t page = stats.number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
  return MigrationStats{
      .done = stats.number(VIR_DOMAIN_JOB_DATA_PROCESSED),
      .total = stats.number(VIR_DOMAIN_JOB_DATA_TOTAL),
      .dirty_rate = stats.number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) * (page != 0 ? page : 4096)};
}

void LibvirtGuest::abort_migration() {
  check(virDomainAbortJob(find().get()), "abort its migration");
}

std::optional<uint64_t> LibvirtGuest::last_downtime() {
  Parameters stats;
  int type = VIR_DOMAIN_JOB_NONE;
  if (virDomainGetJobStats(find().get(), &type, stats.list(), stats.count(),
                           VIR_DOMAIN_JOB_STATS_COMPLETED) != 0 ||
      !stats.has(VIR_DOMAIN_JOB_DOWNTIME)) {
    return std::nullopt;
  }
  return stats.number(VIR_DOMAIN_JOB_DOWNTIME);
}

std::string LibvirtGuest::ask_monitor(const std::string& command) const {
  char* answer = nullptr;
  check(virDomainQemuMonitorCommand(find().get(), command.c_str(), &answer, 0),
        "ask QEMU's monitor");
  return Text(answer).get();
}

void LibvirtGuest::migrate(Host& target, const LiveMigration& migration) {
  auto* other = dynamic_cast<LibvirtHost*>(&target);
  if (!other) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = label(),
                 .action = "migrate",
                 .cause = "the target is not a libvirt host"});
  }
  const DomainPtr found = find();
  Parameters parameters;
  parameters.add(VIR_MIGRATE_PARAM_DEST_XML, migration.destination);
  parameters.add(VIR_MIGRATE_PARAM_PERSIST_XML, migration.persistent);
  for (const std::string& dev : migration.copy_disks) {
    parameters.add(VIR_MIGRATE_PARAM_MIGRATE_DISKS, dev);
  }
  if (!migration.migration_uri.empty()) {
    parameters.add(VIR_MIGRATE_PARAM_URI, migration.migration_uri);
  }
  if (!migration.listen_address.empty()) {
    parameters.add(VIR_MIGRATE_PARAM_LISTEN_ADDRESS, migration.listen_address);
  }
  if (migration.bandwidth != 0) {
    parameters.add(VIR_MIGRATE_PARAM_BANDWIDTH,
                   static_cast<unsigned long long>((migration.bandwidth + kMiB - 1) / kMiB));
  }
  if (migration.parallel != 0) {
    parameters.add(VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, static_cast<int>(migration.parallel));
  }
  if (migration.max_downtime_ms != 0) {
    check(virDomainMigrateSetMaxDowntime(found.get(), migration.max_downtime_ms, 0),
          "set the downtime");
  }
  const DomainPtr moved(
      virDomainMigrate3(found.get(), other->connection().get(), *parameters.list(),
                        static_cast<unsigned>(*parameters.count()), migration_flags(migration)));
  if (!moved) {
    throw libvirt_error(label(), "migrate to " + other->uri());
  }
}

}  // namespace vmferry::libvirt
