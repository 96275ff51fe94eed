// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/disk_source.h"

#include <fmt/format.h>

#include "lib/domain/targets.h"

namespace vmferry {
namespace {

using tinyxml2::XMLElement;

const char* type_of(const RbdTarget& /*target*/) { return "network"; }

const char* type_of(const FileTarget& target) {
  return is_device_path(target.path) ? "block" : "file";
}

void fill(XMLElement& source, const FileTarget& target) {
  source.SetAttribute(is_device_path(target.path) ? "dev" : "file", target.path.c_str());
}

/// libvirt's formatdomain, "Hard drives, floppy disks, CDROMs".
void fill(XMLElement& source, const RbdTarget& target) {
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

}  // namespace

const char* disk_type(const DiskTarget& target) {
  return std::visit([](const auto& place) { return type_of(place); }, target);
}

void fill_source(XMLElement& source, const DiskTarget& target) {
  std::visit([&source](const auto& place) { fill(source, place); }, target);
}

}  // namespace vmferry
