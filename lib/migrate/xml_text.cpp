// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/xml_text.h"

#include <tinyxml2.h>

#include <algorithm>

#include "lib/domain/disk_source.h"
#include "lib/domain/targets.h"
#include "lib/migrate/facts.h"
#include "lib/store/rbd/qemu_rbd_name.h"

namespace vmferry::migrate {
namespace {

/// An element that ends with its scope.
class Element {
 public:
  Element(tinyxml2::XMLPrinter& out, const char* name) : out_(out) { out_.OpenElement(name, true); }
  Element(const Element&) = delete;
  ~Element() { out_.CloseElement(true); }
  Element& set(const char* name, const std::string& value) {
    out_.PushAttribute(name, value.c_str());
    return *this;
  }

 private:
  tinyxml2::XMLPrinter& out_;
};

void print_source(tinyxml2::XMLPrinter& out, const DiskTarget& target) {
  tinyxml2::XMLDocument document;
  tinyxml2::XMLElement* source = document.NewElement("source");
  document.InsertFirstChild(source);
  fill_source(*source, target);
  source->Accept(&out);
}

}  // namespace

std::string snapshot_definition(const Plan& plan, const Domain& domain) {
  tinyxml2::XMLPrinter out(nullptr, true);
  {
    Element snapshot(out, "domainsnapshot");
    Element disks(out, "disks");
    for (const DomainDisk& disk : domain.disks) {
      const auto moving =
          std::find_if(plan.disks.begin(), plan.disks.end(),
                       [&](const MovingDisk& candidate) { return candidate.dev == disk.target; });
      Element entry(out, "disk");
      entry.set("name", disk.target);
      if (moving == plan.disks.end()) {
        entry.set("snapshot", "no");
        continue;
      }
      entry.set("snapshot", "external").set("type", "file");
      Element(out, "driver").set("type", "qcow2");
      Element(out, "source").set("file", moving->overlay);
    }
  }
  return out.CStr();
}

std::string bridge_disk(const MigrateRequest& request, const MovingDisk& disk) {
  tinyxml2::XMLPrinter out(nullptr, true);
  {
    Element element(out, "disk");
    element.set("type", "file").set("device", "disk");
    Element(out, "driver").set("name", "qemu").set("type", "qcow2");
    Element(out, "source").set("file", disk.bridge);
    {
      Element backing(out, "backingStore");
      const DiskTarget target = disk_target(request, disk);
      backing.set("type", disk_type(target));
      Element(out, "format").set("type", image_format(target));
      print_source(out, target);
      Element(out, "backingStore");
    }
    Element(out, "target").set("dev", disk.dev);
  }
  return out.CStr();
}

std::string qemu_volume_name(const MigrateRequest& request, const VolumeName& volume) {
  RbdLocation at = {.pool = volume.pool, .image = volume.image};
  if (!request.monitors.empty()) {
    at.options["mon_host"] = mon_host_of(request.monitors);
  }
  CephOptions cluster;
  cluster.id = request.user;
  cluster.conf = request.ceph_conf;
  return qemu_rbd_name(at, cluster);
}

std::string mon_host_of(const std::vector<CephMonitor>& monitors) {
  std::string hosts;
  for (const CephMonitor& monitor : monitors) {
    const bool ipv6 = monitor.host.find(':') != std::string::npos;
    if (!hosts.empty()) {
      hosts += ';';
    }
    hosts += ipv6 ? "[" + monitor.host + "]" : monitor.host;
    hosts += monitor.port == 0 ? "" : ":" + std::to_string(monitor.port);
  }
  return hosts;
}

}  // namespace vmferry::migrate
