// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include "lib/store/nbd/nbd.h"
#include "lib/store/stores.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

const NbdAddress& address(const Location& location) { return location.inside<NbdAddress>(); }

std::optional<Location> parse(std::string_view text) {
  std::optional<NbdAddress> parsed = parse_nbd_address(text);
  if (!parsed) {
    return std::nullopt;
  }
  std::string name = parsed->display();
  return Location(kNbdStore, std::move(name), std::move(*parsed));
}

void check(const Location& location, const TargetOptions& options) {
  const auto useless = [&location](std::string cause, std::string hint) {
    return Error({.kind = ErrorKind::kUsage,
                  .object = location.display(),
                  .action = "open as a target",
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  };
  if (options.reflink == Reflink::kAlways) {
    throw useless("only a file can share the blocks of another file", "leave out --reflink always");
  }
  if (options.resume) {
    throw useless("a copy to an NBD export cannot be resumed",
                  "leave --resume out: it is written from the beginning");
  }
}

std::unique_ptr<Target> create(const Location& location, const TargetOptions& options) {
  if (!options.force) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = location.display(),
                 .action = "open as a target",
                 .cause = "is an NBD export, and all that is on it would be overwritten",
                 .hint = "pass --force if that is meant"});
  }
  return open_nbd_target(address(location), options);
}

}  // namespace

NbdOptions nbd_options(const NetworkOptions& options) {
  // As with a cluster: four times the time of a first answer, unless something else is said.
  return {.silence =
              std::chrono::seconds(options.ceph.stall_timeout.value_or(4 * options.ceph.timeout)),
          .stop = options.stop};
}

const Store kNbdStore = {
    .parse = parse,
    .open =
        [](const Location& at, const NetworkOptions& network) {
          return open_nbd_source(address(at), nbd_options(network));
        },
    // Nothing tells whether it would be the same the second time.
    .is_read_once = true,
    .check_target = check,
    .create = create,
};

}  // namespace vmferry
