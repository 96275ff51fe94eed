// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/migrate_storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <limits>

#include "lib/core/printable.h"
#include "lib/format/qcow2/qcow2_empty.h"
#include "lib/image/chain.h"
#include "lib/image/whole_sectors.h"
#include "lib/migrate/xml_text.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/image_lock.h"
#include "lib/store/file/new_file.h"
#include "lib/store/file/temporary_file.h"
#include "lib/store/file/unique_fd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "tools/vmferry/copy_job.h"
#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/open.h"

namespace vmferry::cli {
namespace {

RbdLocation location_of(const VolumeName& volume) {
  return {.pool = volume.pool, .image = volume.image};
}

/// Stopped when either of the two is.
class EitherStop {
 public:
  EitherStop(std::stop_token a, std::stop_token b)
      : a_(std::move(a), Stop{source_}), b_(std::move(b), Stop{source_}) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  struct Stop {
    std::stop_source source;
    void operator()() { source.request_stop(); }
  };
  std::stop_source source_;
  std::stop_callback<Stop> a_;
  std::stop_callback<Stop> b_;
};

/// With the size that the guest sees, as QEMU shows it.
OpenImage open_as_guest(const Location& location, const SourceOptions& options) {
  OpenImage image = open_image(location, options);
  image.guest = in_whole_sectors(std::move(image.guest), image.format);
  return image;
}

OpenImage open_host_image(const HostImage& image) {
  std::vector<std::string> allowed = image.backing;
  allowed.insert(allowed.end(), image.allowed.begin(), image.allowed.end());
  const SourceOptions options = {
      .format = image.format,
      .policy = {.allowed_prefixes = allowed, .only_allowed = image.chain_known}};
  return open_as_guest(PathLocation{image.path}, options);
}

std::string text_of(const Identity& identity) {
  static const char* const kStores[] = {"file ", "device ", "volume "};
  return kStores[static_cast<size_t>(identity.store)] + identity.id;
}

struct stat stat_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "stat");
  }
  return status;
}

uint64_t data_of(const Source& source, std::stop_token stop) {
  Progress sum;
  measure(source, stop, sum);
  if (!sum.total_known) {
    throw cancelled_error();
  }
  return sum.data_total;
}

/// Of file systems that several hosts can mount (statfs(2), and the kernel's magic.h).
bool on_shared_file_system(const std::string& path) {
  constexpr std::array<uint32_t, 10> kShared = {
      0x6969,      // NFS
      0x00c36400,  // CephFS
      0x65735546,  // FUSE: GlusterFS, ceph-fuse, sshfs
      0xff534d42,  // CIFS
      0xfe534d42,  // SMB2
      0x01161970,  // GFS2
      0x7461636f,  // OCFS2
      0x47504653,  // GPFS
      0x0bd00bd0,  // Lustre
      0x5346414f,  // AFS
  };
  struct statfs fs;
  if (::statfs(path.c_str(), &fs) != 0) {
    throw errno_error(errno, path, "statfs");
  }
  return std::find(kShared.begin(), kShared.end(), static_cast<uint32_t>(fs.f_type)) !=
         kShared.end();
}

}  // namespace

RealMigrationStorage::RealMigrationStorage(Session& session, RunOptions run, CephOptions ceph,
                                           RbdLayout layout,
                                           const std::vector<CephMonitor>& monitors)
    : session_(session),
      run_(run),
      ceph_(std::move(ceph)),
      layout_(std::move(layout)),
      mon_host_(migrate::mon_host_of(monitors)) {}

PoolFacts RealMigrationStorage::pool(const std::string& pool) {
  constexpr uint64_t kUnknownRoom = std::numeric_limits<uint64_t>::max();
  const RbdPoolState state = rbd_pool_state(pool, ceph_);
  if (!state.exists) {
    return {};
  }
  PoolFacts facts = {.exists = true,
                     .for_rbd = state.for_rbd.value_or(true),
                     .full = state.full.value_or(false),
                     .nearly_full = state.nearly_full.value_or(false),
                     .available = state.available.value_or(kUnknownRoom),
                     .health = state.trouble};
  if (layout_.data_pool.empty()) {
    return facts;
  }
  const RbdPoolState data = rbd_pool_state(layout_.data_pool, ceph_);
  facts.for_rbd = facts.for_rbd && data.for_rbd.value_or(true);
  facts.full = facts.full || data.full.value_or(false);
  facts.nearly_full = facts.nearly_full || data.nearly_full.value_or(false);
  facts.available = data.available.value_or(kUnknownRoom);
  if (!data.exists) {
    facts.health = "there is no data pool '" + layout_.data_pool + "'";
  }
  if (facts.health.empty()) {
    facts.health = data.trouble;
  }
  return facts;
}

void RealMigrationStorage::prove_access(const std::string& pool) {
  prove_rbd_access(pool, ceph_, mon_host_);
  if (!layout_.data_pool.empty()) {
    prove_rbd_access(layout_.data_pool, ceph_, mon_host_);
  }
}

std::optional<Usage> RealMigrationStorage::volume(const VolumeName& volume) {
  const std::optional<RbdVolumeState> state = rbd_volume_state(location_of(volume), ceph_);
  if (!state) {
    return std::nullopt;
  }
  return Usage{.virtual_bytes = state->size, .allocated_bytes = state->used};
}

size_t RealMigrationStorage::writers(const VolumeName& volume) {
  return rbd_volume_writers(location_of(volume), ceph_);
}

TargetOptions RealMigrationStorage::new_target(uint64_t size, const Made& made) const {
  TargetOptions options;
  options.size = size;
  options.layout = layout_;
  options.ceph = ceph_;
  options.before_making = [this] { session_.making_something(); };
  options.made = [made](const Identity& identity) { made(text_of(identity)); };
  options.notice = say_notice;
  return options;
}

void RealMigrationStorage::create_volume(const VolumeName& volume, uint64_t size,
                                         const Made& made) {
  create_rbd_volume(location_of(volume), new_target(size, made));
}

std::string RealMigrationStorage::identity(const VolumeName& volume) {
  const std::optional<Identity> identity = rbd_volume_identity(location_of(volume), ceph_);
  return identity ? text_of(*identity) : "";
}

bool RealMigrationStorage::remove_volume(const VolumeName& volume,
                                         const std::optional<std::string>& identity) {
  // Clearing up is what follows a stop: only one that comes later ends it.
  const bool clearing_up = session_.stop().stop_requested();
  const std::stop_token stop = clearing_up ? std::stop_token() : session_.stop();
  const std::string found = identity ? this->identity(volume) : "";
  const bool another = !found.empty() && found != *identity;
  if (another) {
    remove_rbd_left_over(location_of(volume), ceph_, stop);
  } else {
    remove_rbd_volume(location_of(volume), ceph_, stop);
  }
  return !another;
}

void RealMigrationStorage::sparsify_volume(const VolumeName& volume) {
  ProgressDisplay display(session_, run_.progress_style(), "sparsify", {});
  Progress& counters = display.counters();
  sparsify_rbd_volume(location_of(volume), {.may_be_in_use = true,
                                            .ceph = ceph_,
                                            .progress =
                                                [&counters](uint64_t done, uint64_t total) {
                                                  counters.data_done = done;
                                                  counters.data_total = total;
                                                  counters.total_known = true;
                                                },
                                            .before_change = {},
                                            .stop = session_.stop()});
}

std::string RealMigrationStorage::user_key() { return ceph_user_key(ceph_); }

void RealMigrationStorage::copy_in(const HostImage& image, const VolumeName& volume,
                                   uint64_t bandwidth, std::stop_token stop, const Made& made) {
  const OpenImage source = open_host_image(image);
  refuse_being_written(source);
  if (!image.identity.empty() && text_of(source.opened.front()) != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.path,
                 .action = "copy",
                 .cause = "it is not the file any more that was looked at before",
                 .hint = "it was replaced: look which one the domain needs, and begin again"});
  }
  const EitherStop either(stop, session_.stop());
  const RbdLocation target = location_of(volume);
  // The journal is ours alone, so this is from a run that died; the cluster needs a while to see
  // it.
  remove_rbd_left_over(target, ceph_, either.token());
  copy_and_check(source, target, false, bandwidth, either.token(), made);
}

bool RealMigrationStorage::same(const HostImage& image, const VolumeName& volume,
                                std::stop_token stop) {
  const OpenImage source = open_host_image(image);
  const OpenImage copy =
      open_as_guest(location_of(volume), {.format = ImageFormat(), .ceph = ceph_});
  const EitherStop either(session_.stop(), stop);
  ProgressDisplay display(session_, run_.progress_style(), "verify",
                          {source.guest.get(), copy.guest.get()});
  return compare(*source.guest, *copy.guest, {.jobs = run_.jobs, .stop = either.token()},
                 display.counters())
      .same;
}

void RealMigrationStorage::copy_out(const VolumeName& volume, bool frozen, const std::string& path,
                                    uint64_t bandwidth, std::stop_token stop, const Made& made) {
  const SourceOptions options = {.format = ImageFormat(), .ceph = ceph_};
  const OpenImage source = open_as_guest(location_of(volume), options);
  if (!frozen) {
    refuse_being_written(source);
  }
  const EitherStop either(stop, session_.stop());
  copy_and_check(source, PathLocation{path}, frozen, bandwidth, either.token(), made);
}

void RealMigrationStorage::copy_and_check(const OpenImage& image, const Location& to, bool is_open,
                                          uint64_t bandwidth, std::stop_token stop,
                                          const Made& made) {
  TargetOptions options = new_target(image.guest->size(), made);
  options.sources = image.opened;
  options.stop = stop;
  const std::unique_ptr<Target> target = open_target(to, options);
  CopyJob job = {.what = "copy", .source_in_use = is_open, .verify = true, .stop = stop};
  if (bandwidth > 0) {
    job.rate_limit = bandwidth;
  }
  run_copy_job(session_, run_, *image.guest, *target, job);
}

Usage RealMigrationStorage::image_usage(const HostImage& image) {
  const OpenImage source = open_host_image(image);
  const uint64_t size = source.guest->size();
  try {
    return {.virtual_bytes = size, .allocated_bytes = data_of(*source.guest, session_.stop())};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCorrupt || source.written.empty()) {
      throw;
    }
  }
  // QEMU changes the tables while we read them. What the files occupy is a good estimate, too.
  uint64_t occupied = file_allocation(image.path);
  for (const std::string& path : image.backing) {
    occupied += file_allocation(path);
  }
  return {.virtual_bytes = size, .allocated_bytes = std::min(size, occupied)};
}

ImageParts RealMigrationStorage::image_parts(const HostImage& image) {
  ImageParts parts;
  bool complete = false;
  const auto see = [&](const SeenImage& seen) {
    parts.files.push_back(text_of(identity_of(stat_of(seen.store.name()))));
    complete = !seen.qcow2 || (seen.qcow2->backing_name.empty() && !seen.qcow2->has_data_file());
    if (parts.files.size() > 1 || !seen.qcow2) {
      return;
    }
    for (const Qcow2Snapshot& snapshot : read_qcow2_snapshots(seen.store, *seen.qcow2)) {
      parts.snapshots.push_back(printable(snapshot.name));
    }
    for (const Qcow2Bitmap& bitmap : read_qcow2_bitmaps(seen.store, *seen.qcow2)) {
      parts.bitmaps.push_back(printable(bitmap.name));
    }
  };
  try {
    const OpenImage opened =
        open_chain(PathLocation{image.path},
                   {.format = image.format, .policy = {.allowed_prefixes = {"/"}}}, see);
    parts.files.clear();
    for (const Identity& identity : opened.opened) {
      parts.files.push_back(text_of(identity));
    }
  } catch (const Error& error) {
    if (parts.files.empty()) {
      throw;
    }
    if (!complete) {
      parts.unknown = error.what();
    }
  }
  return parts;
}

std::optional<FileLook> RealMigrationStorage::look(const std::string& path) {
  if (!file_exists(path)) {
    return std::nullopt;
  }
  const struct stat status = stat_of(path);
  return FileLook{.identity = text_of(identity_of(status)),
                  .real = std::filesystem::canonical(path).string(),
                  .link = std::filesystem::is_symlink(path),
                  .device = S_ISBLK(status.st_mode),
                  .shared = on_shared_file_system(path)};
}

void RealMigrationStorage::remove_image(const HostImage& image) {
  const UniqueFd fd(::open(image.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.valid() && errno == ENOENT) {
    return;
  }
  if (!fd.valid()) {
    throw errno_error(errno, image.path, "open");
  }
  if (text_of(identity_of(stat_fd(fd.get(), image.path))) != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.path,
                 .action = "remove",
                 .cause = "it is not the file any more that was copied"});
  }
  lock_image_alone(fd.get(), image.path, false);
  remove_file(image.path, std::nullopt);
}

bool RealMigrationStorage::file_exists(const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) == 0) {
    return true;
  }
  if (errno == ENOENT || errno == ENOTDIR) {
    return false;
  }
  throw errno_error(errno, path, "stat");
}

uint64_t RealMigrationStorage::file_allocation(const std::string& path) {
  const struct stat status = stat_of(path);
  if (!S_ISBLK(status.st_mode)) {
    return static_cast<uint64_t>(status.st_blocks) * 512;
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open");
  }
  return size_of(fd.get(), status, path);
}

uint64_t RealMigrationStorage::free_space(const std::string& path) {
  struct statvfs status;
  if (::statvfs(path.c_str(), &status) != 0) {
    throw errno_error(errno, path, "ask for the free space");
  }
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

bool RealMigrationStorage::remove_file(const std::string& path,
                                       const std::optional<std::string>& identity) {
  ::unlink(partial_path(path).c_str());
  const std::optional<FileLook> found = identity ? look(path) : std::nullopt;
  if (found && found->identity != *identity) {
    return false;
  }
  if (::unlink(path.c_str()) == 0) {
    sync_directory_of(path);
  } else if (errno != ENOENT) {
    throw errno_error(errno, path, "remove");
  }
  return true;
}

void RealMigrationStorage::create_overlay(const std::string& path, uint64_t size,
                                          const std::string& backing) {
  const EmptyQcow2 image = make_empty_qcow2(size, backing, "raw", path);
  session_.making_something();
  create_file(path, image.file_size, image.start);
}

void RealMigrationStorage::create_raw_file(const std::string& path, uint64_t size,
                                           const Made& made) {
  open_target(PathLocation{path}, new_target(size, made))->publish();
}

}  // namespace vmferry::cli
