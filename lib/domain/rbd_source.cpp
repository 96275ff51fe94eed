// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/rbd_source.h"

#include <fmt/format.h>

namespace vmferry {

void fill_rbd_source(tinyxml2::XMLElement& source, const RbdTarget& target) {
  using tinyxml2::XMLElement;
  source.SetAttribute("protocol", "rbd");
  source.SetAttribute("name", fmt::format("{}/{}", target.pool, target.image).c_str());
  for (const CephMonitor& monitor : target.monitors) {
    XMLElement* host = source.InsertNewChildElement("host");
    host->SetAttribute("name", monitor.host.c_str());
    host->SetAttribute("port", monitor.port);
  }
  if (!target.conf.empty()) {
    source.InsertNewChildElement("config")->SetAttribute("file", target.conf.c_str());
  }
  if (target.id.empty()) {
    return;
  }
  XMLElement* auth = source.InsertNewChildElement("auth");
  auth->SetAttribute("username", target.id.c_str());
  XMLElement* secret = auth->InsertNewChildElement("secret");
  secret->SetAttribute("type", "ceph");
  if (!target.secret_uuid.empty()) {
    secret->SetAttribute("uuid", target.secret_uuid.c_str());
  }
  if (!target.secret_usage.empty()) {
    secret->SetAttribute("usage", target.secret_usage.c_str());
  }
}

}  // namespace vmferry
