// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>
#include <utility>

#include "lib/store/rbd/qemu_rbd_name.h"
#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_admin.h"
#include "lib/store/rbd/rbd_location.h"
#include "lib/store/stores.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

const RbdLocation& volume(const Location& location) { return location.inside<RbdLocation>(); }

std::optional<Location> parse(std::string_view text) {
  if (!names_rbd(text)) {
    return std::nullopt;
  }
  return parse_rbd_location(text);
}

Error not_a_base(const RbdLocation& base, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = base.display(),
                .action = "take as a base",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void check_base(const Location& location, const TargetOptions& options) {
  const RbdLocation& base = volume(*options.base);
  if (base.snapshot.empty()) {
    const std::string snapshot = base.ceph_name() + "@v1";
    throw not_a_base(base, "it is a volume, which may change; a base is a snapshot",
                     "make one ('rbd snap create " + snapshot + "'), and name it rbd:" + snapshot);
  }
  if (!base.options.empty() && base.options != volume(location).options) {
    throw not_a_base(base, "a base is reached as the target is: they are in the same cluster",
                     "leave out what follows the snapshot's name");
  }
  if (options.resume) {
    throw not_a_base(base, "a copy that shares a base cannot be resumed",
                     "leave --resume out: what an earlier run has left is removed");
  }
  if (options.grows) {
    throw not_a_base(base, "the size of the disk has to be known before its volume is made",
                     "save the disk to a file first");
  }
}

void check(const Location& location, const TargetOptions& options) {
  if (options.base) {
    check_base(location, options);
  }
  if (options.reflink != Reflink::kAlways) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = location.display(),
               .action = "open as a target",
               .cause = "only a file can share the blocks of another file",
               .hint = "leave out --reflink always"});
}

}  // namespace

const Store kRbdStore = {
    .parse = parse,
    .path = nullptr,
    .open = [](const Location& at,
               const NetworkOptions& network) { return open_rbd_source(volume(at), network.ceph); },
    .check_target = check,
    .create = [](const Location& at,
                 const TargetOptions& options) { return open_rbd_target(volume(at), options); },
    .makes_clones = true,
    .unfinished_notes =
        [](const Location& at, const NetworkOptions& network) {
          return rbd_notes(volume(at), network.ceph);
        },
    .kept_digest =
        [](const Location& at, const NetworkOptions& network) {
          return rbd_kept_digest(volume(at), network.ceph);
        },
    .keep_digest =
        [](const Location& at, const NetworkOptions& network, const std::string& digest) {
          rbd_keep_digest(volume(at), network.ceph, digest);
        },
    .remove_unfinished =
        [](const Location& at, const NetworkOptions& network, std::stop_token stop) {
          remove_rbd_left_over(volume(at), network.ceph, std::move(stop));
        },
    .sparsify = [](const Location& at, const InPlaceOptions& options,
                   Progress& progress) { return sparsify_volume(volume(at), options, progress); },
    .sparsify_can_rehearse = false,
    .refuse_writers = nullptr,  // its watchers were asked when it was opened
    .refuse_users = nullptr,
    .allocated =
        [](const Location& at, const NetworkOptions& network) {
          return volume_bytes(volume(at), network.ceph);
        },
    .qemu_name =
        [](const Location& at, const NetworkOptions& network) {
          return qemu_rbd_name(volume(at), network.ceph);
        },
};

}  // namespace vmferry
