// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/choice.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/migrate/needs.h"
#include "lib/migrate/xml_text.h"

namespace vmferry::migrate {
namespace {

bool holds_container(const DiskImage& image) {
  const std::optional<ImageFormat> format = format_of(image);
  return !format || format->is_container();
}

/// Of a disk on RBD, in a move to files.
std::string why_not_to_file(CopyMethod method, const DomainDisk& disk) {
  const bool qemu_reads_it = method == CopyMethod::kMirrored;
  if (disk.stays_on_rbd.empty() && !qemu_reads_it && holds_container(disk.image)) {
    return "its volume holds a " + disk.image.format + " image, which only --method mirror reads";
  }
  return disk.stays_on_rbd;
}

/// Of a disk on RBD, in a move to RBD. Nobody shall find one moved that was meant to stay.
std::string why_not_to_volume(const MigrateRequest& request, const Domain& live,
                              const DomainDisk& disk) {
  if (!disk.stays_on_rbd.empty()) {
    return disk.stays_on_rbd;
  }
  const VolumeName goal = goal_of(request, live, disk.target);
  if (disk.image.name == goal.pool + "/" + goal.image) {
    return request.old_cluster ? goal.display() +
                                     " would be its name in both clusters, which nobody could tell "
                                     "apart: give it another with --disk or --name-template"
                               : "it is on " + goal.display() + " already";
  }
  if (holds_container(disk.image)) {
    return "its volume holds a " + disk.image.format + " image, which no move to RBD reads";
  }
  if (request.disks.contains(disk.target)) {
    return {};
  }
  const std::string named = fmt::format("--disk {}=rbd:POOL/IMAGE moves it", disk.target);
  if (std::any_of(live.disks.begin(), live.disks.end(),
                  [](const DomainDisk& other) { return other.can_move(); })) {
    return "it is on RBD already, and others are not: " + named;
  }
  if (!request.old_cluster && volume_of(disk.image).pool == goal.pool) {
    return fmt::format("it is in the pool '{}' already: {}", goal.pool, named);
  }
  return {};
}

}  // namespace

std::string why_not_chosen(const MigrateRequest& request, CopyMethod method, const Domain& live,
                           const DomainDisk& disk) {
  if (request.to_files()) {
    return why_not_to_file(method, disk);
  }
  if (request.volumes_move && disk.image.is_rbd()) {
    return why_not_to_volume(request, live, disk);
  }
  return disk.stays;
}

VolumeName goal_of(const MigrateRequest& request, const Domain& live, const std::string& dev) {
  const auto named = request.disks.find(dev);
  if (named != request.disks.end()) {
    return named->second;
  }
  return {request.pool, fill_name_template(request.name_template, live, dev)};
}

RbdLocation volume_of(const DiskImage& image) {
  const size_t slash = image.name.find('/');
  RbdLocation volume = {.pool = image.name.substr(0, slash), .image = image.name.substr(slash + 1)};
  if (!image.monitors.empty()) {
    volume.options["mon_host"] = mon_host_of(image.monitors);
  } else if (!image.ceph_conf.empty()) {
    volume.options["conf"] = image.ceph_conf;
  }
  return volume;
}

}  // namespace vmferry::migrate
