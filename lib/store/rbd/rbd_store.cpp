// SPDX-License-Identifier: LGPL-2.1-or-later
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

void check(const Location& location, const TargetOptions& options) {
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
    .unfinished_notes =
        [](const Location& at, const NetworkOptions& network) {
          return rbd_notes(volume(at), network.ceph);
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
