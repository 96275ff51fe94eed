// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/storage.h"

#include <algorithm>
#include <functional>

#include "lib/core/printable.h"
#include "lib/image/chain.h"
#include "lib/image/whole_sectors.h"
#include "lib/store/file/file_io.h"
#include "lib/store/rbd/rbd_admin.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/transfer.h"

namespace vmferry {
namespace migrate {
namespace {

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

uint64_t data_of(const Source& source, std::stop_token stop) {
  Progress sum;
  measure(source, stop, sum);
  if (!sum.total_known) {
    throw cancelled_error();
  }
  return sum.data_total;
}

}  // namespace

void HostAndCluster::copy_in(const HostImage& image, const VolumeName& volume, uint64_t bandwidth,
                             std::stop_token stop, const Made& made) {
  const OpenImage source = open_host_image(image);
  refuse_being_written(source);
  if (!image.identity.empty() && text_of(source.opened.front()) != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.path,
                 .action = "copy",
                 .cause = "it is not the file any more that was looked at before",
                 .hint = "it was replaced: look which one the domain needs, and begin again"});
  }
  const EitherStop either(stop, options_.stop);
  const RbdLocation target = location_of(volume);
  // The journal is ours alone, so this is from a run that died; the cluster needs a while to see
  // it.
  remove_rbd_left_over(target, options_.ceph, either.token());
  copy_and_check(source, target, false, bandwidth, either.token(), made);
}

bool HostAndCluster::same(const HostImage& image, const VolumeName& volume, std::stop_token stop) {
  const OpenImage source = open_host_image(image);
  const OpenImage copy =
      open_as_guest(location_of(volume), {.format = ImageFormat(), .ceph = options_.ceph});
  const EitherStop either(options_.stop, stop);
  Progress counters;
  const ObservedPhase phase(options_.observer, "verify", counters,
                            {source.guest.get(), copy.guest.get()});
  return compare(*source.guest, *copy.guest, {.jobs = options_.jobs, .stop = either.token()},
                 counters)
      .same;
}

void HostAndCluster::copy_out(const VolumeName& volume, bool frozen, const std::string& path,
                              uint64_t bandwidth, std::stop_token stop, const Made& made) {
  const SourceOptions options = {.format = ImageFormat(), .ceph = options_.ceph};
  const OpenImage source = open_as_guest(location_of(volume), options);
  if (!frozen) {
    refuse_being_written(source);
  }
  const EitherStop either(stop, options_.stop);
  copy_and_check(source, PathLocation{path}, frozen, bandwidth, either.token(), made);
}

void HostAndCluster::copy_and_check(const OpenImage& image, const Location& to, bool is_open,
                                    uint64_t bandwidth, std::stop_token stop, const Made& made) {
  TargetOptions options = new_target(image.guest->size(), made);
  options.sources = image.opened;
  options.stop = stop;
  if (to.path().empty()) {
    options.layout = options_.layout;
  }
  const std::unique_ptr<Target> target = open_target(to, options);
  TransferOptions work = {.jobs = options_.jobs,
                          .source_in_use = is_open,
                          .verify = Verify::kYes,
                          .stop = std::move(stop)};
  if (bandwidth > 0) {
    work.rate_limit = bandwidth;
  }
  transfer(*image.guest, *target, work, options_.observer);
}

Usage HostAndCluster::image_usage(const HostImage& image) {
  const OpenImage source = open_host_image(image);
  const uint64_t size = source.guest->size();
  try {
    return {.virtual_bytes = size, .allocated_bytes = data_of(*source.guest, options_.stop)};
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

ImageParts HostAndCluster::image_parts(const HostImage& image) {
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

}  // namespace migrate
}  // namespace vmferry
