// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

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

}  // namespace

CopyDone HostAndCluster::update_in(const HostImage& image, const VolumeName& volume,
                                   const std::string& mark, const CopyTerms& terms) {
  const OpenImage source = open_host_image(image);
  refuse_being_written(source);
  const auto* layer = dynamic_cast<const Overlay*>(source.guest.get());
  const bool is_it = image.identity.empty() || source.opened.front().text == image.identity;
  if (layer == nullptr || !is_it) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.path,
                 .action = "copy",
                 .cause = "it is not the overlay any more that was looked at before"});
  }
  const EitherStop either(terms.stop, options_.stop);
  TargetOptions options = new_target(source.guest->size(), {});
  options.stop = either.token();
  options.sources = source.opened;
  const std::unique_ptr<Target> target = update_rbd_volume(location_of(volume), options);
  TransferOptions work = {.jobs = options_.jobs, .verify = Verify::kYes, .stop = either.token()};
  if (terms.bandwidth > 0) {
    work.rate_limit = terms.bandwidth;
  }
  work.rate_now = terms.rate;
  const UpdateResult result =
      transfer_update(*source.guest, LayerOnly(*layer), mark, *target, work, options_.observer);
  return {.kept_bytes = 0, .digest = {}, .changed_bytes = result.changed_bytes};
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
  const OpenImage opened = open_volume(volume, options_.ceph);
  std::vector<std::string> names;
  for (const Point& point : history_of(opened).points()) {
    names.push_back(point.name);
  }
  return names;
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
