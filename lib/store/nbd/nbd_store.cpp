// SPDX-License-Identifier: LGPL-2.1-or-later
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

}  // namespace

NbdOptions nbd_options(const CephOptions& options) {
  // As with a cluster: four times the time of a first answer, unless something else is said.
  return {.silence = std::chrono::seconds(options.stall_timeout.value_or(4 * options.timeout))};
}

const Store kNbdStore = {
    .parse = parse,
    .open = [](const Location& at,
               const CephOptions& ceph) { return open_nbd_source(address(at), nbd_options(ceph)); },
};

}  // namespace vmferry
