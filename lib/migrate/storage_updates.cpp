// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>

#include "lib/migrate/follow_snapshots.h"
#include "lib/migrate/storage.h"
#include "lib/store/rbd/rbd_admin.h"
#include "vmferry/error.h"
#include "vmferry/history.h"
#include "vmferry/open.h"
#include "vmferry/transfer_update.h"

// What brings the copy of a disk up to date, and keeps what it was.

namespace vmferry::migrate {
namespace {

const History& history_of(const OpenImage& volume) {
  return dynamic_cast<const History&>(*volume.guest);
}

std::vector<std::string> names_of_points(const OpenImage& volume) {
  std::vector<std::string> names;
  for (const Point& point : history_of(volume).points()) {
    names.push_back(point.name);
  }
  return names;
}

/// What the topmost image has of its own.
class LayerOnly final : public Changes {
 public:
  explicit LayerOnly(const Overlay& layer) : layer_(layer) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    return layer_.own_run_at(offset, max);
  }

 private:
  const Overlay& layer_;
};

size_t point_called(const std::string& mark, const OpenImage& volume) {
  const std::vector<std::string> names = names_of_points(volume);
  const auto found = std::find(names.begin(), names.end(), mark);
  if (found == names.end()) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = volume.guest->name(),
                 .action = "copy what is new in it",
                 .cause = "it has no snapshot " + mark + " any more"});
  }
  return static_cast<size_t>(found - names.begin());
}

/// Those of a new volume, in the cluster.
class SnapshotsOfCopy final : public FollowingVolume {
 public:
  SnapshotsOfCopy(RbdLocation volume, const MigrationStorageOptions& options)
      : volume_(std::move(volume)), options_(options) {}

  std::vector<CopiedSnapshot> snapshots() override {
    return rbd_copied_snapshots(volume_, options_.ceph);
  }
  std::string remove(const CopiedSnapshot& snapshot) override {
    return remove_rbd_copied_snapshot(called(snapshot.name), snapshot.id, options_.ceph);
  }
  void rename(const std::string& from, const std::string& to) override {
    rename_rbd_snapshot(called(from), to, options_.ceph);
  }
  void tell(const std::string& text) override {
    if (options_.notice) {
      options_.notice(volume_.display() + ": " + text);
    }
  }

  /// What an update that died has made after `mark`. False: there is no such snapshot.
  bool forget_since(const std::string& mark) {
    const std::vector<CopiedSnapshot> all = snapshots();
    auto next = std::find_if(all.begin(), all.end(),
                             [&](const CopiedSnapshot& one) { return one.name == mark; });
    if (next == all.end()) {
      return false;
    }
    for (++next; next != all.end(); ++next) {
      const bool is_its = next->origin == CopiedSnapshot::Origin::kCopy ||
                          next->origin == CopiedSnapshot::Origin::kBeingMade;
      if (is_its) {
        remove(*next);
      }
    }
    return true;
  }

 private:
  RbdLocation called(const std::string& snapshot) const {
    RbdLocation location = volume_;
    location.snapshot = snapshot;
    return location;
  }

  const RbdLocation volume_;
  const MigrationStorageOptions& options_;
};

/// What an update is made with.
struct UpdateTools {
  Target& target;
  const TransferOptions& options;
  Observer* observer;

  uint64_t update(const Source& source, const Changes& changes, const std::string& mark) const {
    return transfer_update(source, changes, mark, target, options, observer);
  }
};

/// Answers the bytes in which both could differ. `with_states`: each state that the volume has kept
/// since its snapshot `mark` is brought there first, and kept there.
uint64_t update_from_volume(const OpenImage& volume, const std::string& mark, bool with_states,
                            const UpdateTools& tools) {
  const History& history = history_of(volume);
  const std::vector<Point> points = history.points();
  uint64_t bytes = 0;
  size_t at = point_called(mark, volume);
  std::string kept = mark;
  for (size_t next = at + 1; with_states && next < points.size(); ++next) {
    bytes += tools.update(*history.open_point(next), *history.changes(at, next), kept);
    kept = tools.target.mark(points[next]);
    at = next;
  }
  return bytes + tools.update(*volume.guest, *history.changes(at, points.size()), kept);
}

}  // namespace

CopyDone HostAndCluster::update_in(const HostImage& image, const VolumeName& volume,
                                   const std::string& mark, const CopyTerms& terms) {
  const OpenImage source = open_host_image(image);
  // A volume looks like one that changes also while its guest writes to an overlay over it.
  const bool frozen_volume = terms.frozen && image.volume;
  if (!frozen_volume) {
    refuse_being_written(source);
  }
  const auto* layer = dynamic_cast<const Overlay*>(source.guest.get());
  const bool is_it = image.identity.empty() || source.opened.front().text == image.identity;
  if (!is_it || (!image.volume && layer == nullptr)) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.display(),
                 .action = "copy",
                 .cause = fmt::format("it is not the {} any more that was looked at before",
                                      image.volume ? "volume" : "overlay")});
  }
  const EitherStop either(terms.stop, options_.stop);
  TargetOptions options = new_target(source.guest->size(), {});
  options.stop = either.token();
  options.sources = source.opened;
  const std::unique_ptr<Target> target = update_rbd_volume(location_of(volume), options);
  if (image.volume && image.with_snapshots) {
    follow_old_volume(source, volume, mark);
  }
  TransferOptions work = {.jobs = options_.jobs,
                          .source_in_use = frozen_volume,
                          .verify = Verify::kYes,
                          .stop = either.token()};
  if (terms.bandwidth > 0) {
    work.rate_limit = terms.bandwidth;
  }
  work.rate_now = terms.rate;
  const UpdateTools tools = {*target, work, options_.observer};
  const uint64_t bytes = image.volume
                             ? update_from_volume(source, mark, image.with_snapshots, tools)
                             : tools.update(*source.guest, LayerOnly(*layer), mark);
  return {.kept_bytes = 0, .digest = {}, .changed_bytes = bytes};
}

void HostAndCluster::follow_old_volume(const OpenImage& old, const VolumeName& volume,
                                       const std::string& mark) {
  SnapshotsOfCopy snapshots(location_of(volume), options_);
  const size_t known = point_called(mark, old);
  if (snapshots.forget_since(mark)) {  // else the update says that there is none
    follow_snapshots(history_of(old).points(), known, snapshots);
  }
}

void HostAndCluster::mark(const VolumeName& volume, const std::string& mark) {
  TargetOptions options = new_target(0, {});
  options.stop = options_.stop;
  const std::unique_ptr<Target> target = update_rbd_volume(location_of(volume), options);
  const std::string made = target->mark({.name = mark, .id = {}, .size = target->sink().size()});
  if (made != mark) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = volume.display(),
                 .action = "keep what it holds as its snapshot " + mark,
                 .cause = "it has one of that name, so that it is called " + made});
  }
}

void HostAndCluster::unmark(const VolumeName& volume, const std::string& mark) {
  RbdLocation snapshot = location_of(volume);
  snapshot.snapshot = mark;
  remove_rbd_snapshot(snapshot, options_.ceph);
}

std::vector<std::string> HostAndCluster::marks(const VolumeName& volume) {
  return names_of_points(open_volume(volume, options_.ceph));
}

OpenImage HostAndCluster::open_old_volume(const HostImage& image) const {
  HostImage now = image;
  now.volume->snapshot.clear();
  OpenImage opened = open_host_image(now);
  if (opened.opened.front().text != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = now.display(),
                 .action = "see to its snapshots",
                 .cause = "another volume has its name now"});
  }
  return opened;
}

void HostAndCluster::mark_old(const HostImage& image, const std::string& mark) {
  open_old_volume(image);
  RbdLocation snapshot = *image.volume;
  snapshot.snapshot = mark;
  create_rbd_snapshot(snapshot, old_ceph());
}

void HostAndCluster::unmark_old(const HostImage& image, const std::string& mark) {
  open_old_volume(image);
  RbdLocation snapshot = *image.volume;
  snapshot.snapshot = mark;
  remove_rbd_snapshot(snapshot, old_ceph());
}

std::vector<std::string> HostAndCluster::old_marks(const HostImage& image) {
  return names_of_points(open_old_volume(image));
}

bool HostAndCluster::is_as_marked(const VolumeName& volume, const std::string& mark) {
  const OpenImage opened = open_volume(volume, options_.ceph);
  const std::vector<Point> points = history_of(opened).points();
  const auto found = std::find_if(points.begin(), points.end(),
                                  [&](const Point& point) { return point.name == mark; });
  if (found == points.end()) {
    return false;
  }
  const auto at = static_cast<size_t>(found - points.begin());
  const std::unique_ptr<Changes> changes = history_of(opened).changes(at, points.size());
  const uint64_t size = opened.guest->size();
  for (uint64_t offset = 0; offset < size;) {
    const Changes::Run run = changes->run_at(offset, size - offset);
    if (run.may_differ) {
      return false;
    }
    offset += run.length;
  }
  return true;
}

}  // namespace vmferry::migrate
