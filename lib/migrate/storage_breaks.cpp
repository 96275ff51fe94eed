// SPDX-License-Identifier: LGPL-2.1-or-later
#include <memory>
#include <utility>

#include "lib/migrate/storage.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/transfer/break_source.h"
#include "lib/transfer/copy_again.h"
#include "vmferry/error.h"
#include "vmferry/history.h"
#include "vmferry/open.h"
#include "vmferry/transfer.h"

// Images that are changed in breaks of their copies: what a guest wrote to an overlay is committed
// into what is copied.

namespace vmferry::migrate {

OpenImage HostAndCluster::open_frozen_image(const HostImage& image) const {
  OpenImage source = open_host_image(image);
  refuse_being_written(source);
  if (!image.identity.empty() && source.opened.front().text != image.identity) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.display(),
                 .action = "go on with its copy",
                 .cause = "it is not the file any more that was looked at before",
                 .hint = "it was replaced: look which one the domain needs, and begin again"});
  }
  return source;
}

std::unique_ptr<Source> HostAndCluster::open_between_breaks(const HostImage& image,
                                                            const CopyTerms& terms) const {
  return std::make_unique<BreakSource>(
      *terms.breaks, [this, image] { return std::move(open_frozen_image(image).guest); },
      terms.stop);
}

CopyDone HostAndCluster::copy_changed_in(const HostImage& image, const VolumeName& volume,
                                         const CopyTerms& terms) {
  const EitherStop either(terms.stop, options_.stop);
  CopyTerms stoppable = terms;
  stoppable.stop = either.token();
  const std::unique_ptr<Source> source = open_between_breaks(image, stoppable);
  TargetOptions options = new_target(source->size(), {});
  options.stop = either.token();
  const std::unique_ptr<Target> target = update_rbd_volume(location_of(volume), options);
  TransferOptions work = {.jobs = options_.jobs, .verify = Verify::kYes, .stop = either.token()};
  if (terms.bandwidth > 0) {
    work.rate_limit = terms.bandwidth;
  }
  work.rate_now = terms.rate;
  const uint64_t bytes =
      copy_again(*source, *terms.breaks, target->sink(), work, options_.observer);
  check_source(*source, false);
  return {.kept_bytes = 0, .digest = {}, .changed_bytes = bytes};
}

ByteRanges HostAndCluster::own_ranges(const HostImage& image) {
  const OpenImage source = open_host_image(image);
  const auto* layer = dynamic_cast<const Overlay*>(source.guest.get());
  if (layer == nullptr) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = image.display(),
                 .action = "see what it has of its own",
                 .cause = "it is not an overlay"});
  }
  ByteRanges own;
  const uint64_t size = source.guest->size();
  for (uint64_t at = 0; at < size;) {
    const Changes::Run run = layer->own_run_at(at, size - at);
    if (run.may_differ) {
      own.add(at, run.length);
    }
    at += run.length;
  }
  return own;
}

}  // namespace vmferry::migrate
