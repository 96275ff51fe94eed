// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/target.h"

#include <utility>

#include "lib/store/store.h"
#include "vmferry/error.h"

namespace vmferry {

void check_target_options(const Location& location, const TargetOptions& options) {
  const Store& store = location.store();
  if (store.create == nullptr) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "open as a target",
                 .cause = "such a place can only be read",
                 .hint = "name a file, a block device or rbd:POOL/IMAGE as the target"});
  }
  if (options.base && !store.makes_clones) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = location.display(),
                 .action = "open as a target",
                 .cause = "only an RBD volume can share a base",
                 .hint = "leave --base out, or name rbd:POOL/IMAGE as the target"});
  }
  if (options.base && &options.base->store() != &store) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = options.base->display(),
                 .action = "take as a base",
                 .cause = "it is no snapshot of an RBD volume",
                 .hint = "copy it to a volume first, make a snapshot of that ('rbd snap create "
                         "POOL/IMAGE@SNAPSHOT'), and name it rbd:POOL/IMAGE@SNAPSHOT"});
  }
  if (store.check_target != nullptr) {
    store.check_target(location, options);
  }
}

std::unique_ptr<Target> open_target(const Location& location, const TargetOptions& options) {
  check_target_options(location, options);
  return location.store().create(location, options);
}

std::map<std::string, std::string> unfinished_notes(const Location& location,
                                                    const NetworkOptions& network) {
  const Store& store = location.store();
  return store.unfinished_notes == nullptr ? std::map<std::string, std::string>()
                                           : store.unfinished_notes(location, network);
}

void remove_unfinished(const Location& location, const NetworkOptions& network,
                       std::stop_token stop) {
  const Store& store = location.store();
  if (store.remove_unfinished != nullptr) {
    store.remove_unfinished(location, network, std::move(stop));
  }
}

}  // namespace vmferry
