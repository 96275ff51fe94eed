// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/storage.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "lib/core/printable.h"
#include "lib/image/chain.h"
#include "lib/image/whole_sectors.h"
#include "lib/store/file/file_io.h"
#include "vmferry/create.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/transfer.h"
#include "vmferry/transfer_history.h"

namespace vmferry {
namespace migrate {
namespace {

/// With the size that the guest sees, as QEMU shows it.
OpenImage open_as_guest(const Location& location, const SourceOptions& options) {
  OpenImage image = open_image(location, options);
  image.guest = in_whole_sectors(std::move(image.guest), image.format);
  return image;
}

/// The volume begins as the first state.
void add_history(const HostImage& image, OpenImage& source, NewImage& target) {
  if (image.with_layers) {
    source.guest = layers_as_history(std::move(source.guest), image.layer_names);
  }
  if (!image.with_snapshots && !image.with_layers) {
    return;
  }
  const auto* history = dynamic_cast<const History*>(source.guest.get());
  const std::vector<Point> points = history != nullptr ? history->points() : std::vector<Point>();
  if (points.empty()) {
    return;
  }
  target.points.resize(points.size());
  std::iota(target.points.begin(), target.points.end(), size_t{0});
  target.options.marks = points.size();
  target.options.size = points.front().size;
}

std::vector<std::string> names_of(const std::vector<KeptPoint>& points) {
  std::vector<std::string> names;
  names.reserve(points.size());
  for (const KeptPoint& point : points) {
    names.push_back(point.name);
  }
  return names;
}

}  // namespace

OpenImage HostAndCluster::open_host_image(const HostImage& image) const {
  if (image.volume) {
    const NetworkOptions network = {.ceph = for_copying(old_ceph())};
    return open_as_guest(*image.volume, {.format = ImageFormat(), .network = network});
  }
  std::vector<std::string> allowed = image.backing;
  allowed.insert(allowed.end(), image.allowed.begin(), image.allowed.end());
  const SourceOptions options = {
      .format = image.format,
      .policy = {.allowed_prefixes = allowed, .only_allowed = image.chain_known}};
  return open_as_guest(PathLocation{image.path}, options);
}

CopyDone HostAndCluster::copy_in(const HostImage& image, const VolumeName& volume,
                                 const CopyTerms& terms, const Made& made) {
  OpenImage source = open_host_image(image);
  CopyTerms of_image = terms;
  // A file that is open does not look like one that changes; a volume does.
  of_image.frozen = terms.frozen && image.volume;
  if (!of_image.frozen) {
    refuse_being_written(source);
  }
  if (!image.identity.empty() && source.opened.front().text != image.identity) {
    const char* const kind = image.volume ? "volume" : "file";
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.display(),
                 .action = "copy",
                 .cause = fmt::format("it is not the {} any more that was looked at before", kind),
                 .hint = "it was replaced: look which one the domain needs, and begin again"});
  }
  NewImage target = {.location = location_of(volume),
                     .options = new_volume(source.guest->size(), made)};
  if (!terms.base.empty()) {
    target.options.base = parse_location(terms.base);
  }
  add_history(image, source, target);
  if (terms.breaks != nullptr) {
    source.guest = nullptr;  // it may be changed until the next one is opened
    source.guest = open_between_breaks(image, terms);
  }
  CopyDone done = copy_or_resume(source, std::move(target), of_image);
  if (terms.breaks != nullptr && terms.breaks->any()) {
    done.digest.clear();
  }
  return done;
}

bool HostAndCluster::can_resume_in(const HostImage& image, const VolumeName& volume) {
  OpenImage source = open_host_image(image);
  NewImage target = {.location = location_of(volume), .options = {}};
  add_history(image, source, target);
  return can_go_on(source, target);
}

bool HostAndCluster::can_go_on(const OpenImage& image, const NewImage& target) const {
  const NetworkOptions network = {.ceph = options_.ceph};
  return target.points.empty()
             ? can_resume(*image.guest, target.location, network)
             : can_resume_history(*image.guest, target.points, target.location, network);
}

OpenImage HostAndCluster::open_volume(const VolumeName& volume, const CephOptions& ceph) const {
  return open_as_guest(location_of(volume), {.format = ImageFormat(), .network = {.ceph = ceph}});
}

bool HostAndCluster::same(const HostImage& image, const VolumeName& volume, std::stop_token stop) {
  const OpenImage source = open_host_image(image);
  const OpenImage copy = open_volume(volume, options_.ceph);
  const EitherStop either(options_.stop, stop);
  Progress counters;
  const ObservedPhase phase(options_.observer, "verify", counters,
                            {source.guest.get(), copy.guest.get()});
  return compare(*source.guest, *copy.guest, {.jobs = options_.jobs, .stop = either.token()},
                 counters)
      .same;
}

CopyDone HostAndCluster::copy_out(const VolumeName& volume, const std::string& path,
                                  const ImageLayout& layout, const CopyTerms& terms,
                                  const Made& made) {
  const OpenImage source = open_volume(volume, for_copying(options_.ceph));
  if (!terms.frozen) {
    refuse_being_written(source);
  }
  return copy_or_resume(source,
                        {.location = PathLocation{path},
                         .layout = layout,
                         .options = new_target(source.guest->size(), made)},
                        terms);
}

bool HostAndCluster::can_resume_out(const VolumeName& volume, const std::string& path) {
  return can_resume(*open_volume(volume, options_.ceph).guest, PathLocation{path},
                    {.ceph = options_.ceph});
}

CopyDone HostAndCluster::copy_or_resume(const OpenImage& image, NewImage target, CopyTerms terms) {
  const EitherStop either(terms.stop, options_.stop);
  const Location& to = target.location;
  terms.stop = target.options.stop = either.token();
  target.options.sources = image.opened;
  if (terms.resume && can_go_on(image, target)) {
    target.options.resume = true;
    try {
      return copy_and_check(image, target, terms);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kConflict) {
        throw;
      }
      remove_unfinished(to, {.ceph = options_.ceph}, terms.stop);
      check_source(*image.guest, terms.frozen);  // then that is why
      if (options_.notice) {
        options_.notice(std::string(error.what()) + "; it is copied from the beginning");
      }
    }
  } else {
    // The journal is the run's alone, so it is from a run that died.
    remove_unfinished(to, {.ceph = options_.ceph}, terms.stop);
  }
  target.options.resume = false;
  return copy_and_check(image, target, terms);
}

CopyDone HostAndCluster::copy_and_check(const OpenImage& image, const NewImage& made,
                                        const CopyTerms& terms) {
  const std::unique_ptr<Target> target = create_image(made.location, made.options, made.layout);
  // A volume that QEMU has open looks like one that changes.
  TransferOptions work = {.jobs = options_.jobs,
                          .source_in_use = terms.frozen,
                          .verify = Verify::kYes,
                          .make_checkpoints = true,
                          .checkpoint_every = options_.checkpoint_every,
                          .breaks = terms.breaks,
                          .stop = terms.stop};
  if (terms.bandwidth > 0) {
    work.rate_limit = terms.bandwidth;
  }
  work.rate_now = terms.rate;
  DiskDigest digest(image.guest->size());
  work.digest = &digest;
  if (!made.points.empty()) {
    const HistoryResult result =
        transfer_history(*image.guest, made.points, *target, work, options_.observer);
    return {.kept_bytes = result.kept_bytes,
            .digest = digest.text(),
            .snapshots = names_of(result.points)};
  }
  const TransferResult result = transfer(*image.guest, *target, work, options_.observer);
  return {.kept_bytes = result.kept_bytes, .digest = digest.text()};
}

Usage HostAndCluster::image_usage(const HostImage& image) {
  const OpenImage source = open_host_image(image);
  const uint64_t size = source.guest->size();
  try {
    return {.virtual_bytes = size, .allocated_bytes = data_bytes(*source.guest, options_.stop)};
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

ImageParts HostAndCluster::volume_parts(const RbdLocation& volume) const {
  const OpenImage opened =
      open_image(volume, {.format = ImageFormat(), .network = {.ceph = old_ceph()}});
  ImageParts parts;
  parts.written = !opened.written.empty();
  parts.files.push_back(opened.opened.front().text);
  if (const auto* history = dynamic_cast<const History*>(opened.guest.get())) {
    for (const Point& point : history->points()) {
      parts.snapshots.push_back(printable(point.name));
    }
  }
  return parts;
}

ImageParts HostAndCluster::image_parts(const HostImage& image) {
  if (image.volume) {
    return volume_parts(*image.volume);
  }
  ImageParts parts;
  std::vector<std::string> damage;
  bool complete = false;
  const auto see = [&](const SeenImage& seen) {
    const ImageFacts facts = facts_of(seen, damage);
    parts.files.push_back(identity_of(stat_of(seen.store.name())).text);
    complete = !seen.format.is_foreign() &&
               (!facts.qcow2 || (facts.qcow2->backing_file.empty() && !facts.qcow2->has_data_file));
    if (parts.files.size() > 1) {
      parts.backing.push_back(seen.store.name());
      return;
    }
    if (!facts.qcow2) {
      return;
    }
    for (const SnapshotFacts& snapshot : facts.qcow2->snapshots) {
      parts.snapshots.push_back(printable(snapshot.name));
      if (snapshot.vm_state_bytes.value_or(0) != 0) {
        parts.memories.push_back(parts.snapshots.back());
      }
    }
    for (const BitmapFacts& bitmap : facts.qcow2->bitmaps) {
      parts.bitmaps.push_back(printable(bitmap.name));
    }
  };
  try {
    const OpenImage opened =
        open_chain(PathLocation{image.path},
                   {.format = image.format, .policy = {.allowed_prefixes = {"/"}}}, see);
    parts.files.clear();
    for (const Identity& identity : opened.opened) {
      parts.files.push_back(identity.text);
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
