// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry {

/// What Ceph's programs read from CEPH_ARGS before anything else (ceph_argparse_early_args), and
/// librados therefore leaves out when it reads the rest (rados_conf_parse_env). "": not said.
struct CephArgs {
  std::string conf;     ///< --conf, -c
  std::string cluster;  ///< --cluster
  std::string entity;   ///< --name, -n, or "client." with --id, --user: "client.libvirt"
};

/// Reads the text of CEPH_ARGS: words between spaces, no quotes. Of several the last counts; "--"
/// ends the options. Pure; any thread.
CephArgs parse_ceph_args(std::string_view text);

}  // namespace vmferry
