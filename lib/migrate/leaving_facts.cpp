// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>
#include <regex>
#include <sstream>

#include "lib/migrate/facts.h"
#include "lib/migrate/needs.h"
#include "lib/migrate/route.h"
#include "lib/store/file/file_text.h"

// What is asked before a machine leaves its host.

namespace vmferry::migrate {
namespace {

namespace fs = std::filesystem;

/// A disk of hardware or of a process of this host.
bool is_bound(const DiskImage& image) {
  return image.type == "nvme" || image.type == "vhostuser" || image.type == "vhostvdpa";
}

LeftDisk::Reach reach_of(const DiskImage& image, const Facts& facts,
                         const MigrateContext& context) {
  if (is_bound(image)) {
    return LeftDisk::Reach::kBound;
  }
  const std::string path = path_of(*context.source, image);
  if (path.empty() || !facts.source.local) {
    return LeftDisk::Reach::kNotLooked;
  }
  const std::optional<FileLook> look = context.storage->look(path);
  if (!look) {
    return LeftDisk::Reach::kNotSeen;
  }
  if (look->device) {
    return LeftDisk::Reach::kDevice;
  }
  if (look->shared) {
    return LeftDisk::Reach::kSharedFile;
  }
  return facts.target.local ? LeftDisk::Reach::kSameMachine : LeftDisk::Reach::kLocalFile;
}

/// Drives are asked about elsewhere; other disks on the network are as near from there.
bool is_left(const DomainDisk& disk, const Facts& facts) {
  if (disk.device == "cdrom" || disk.device == "floppy" || disk.image.type == "network") {
    return false;
  }
  if (disk.image.path.empty() && disk.image.volume.empty() && !is_bound(disk.image)) {
    return false;
  }
  for (const DiskFacts& moving : facts.disks) {
    if (moving.move.dev == disk.target) {
      return false;
    }
  }
  for (const LeftDisk& known : facts.leaving.left) {
    if (known.dev == disk.target) {
      return false;
    }
  }
  return true;
}

void look_at_left(const Domain& domain, Facts& facts, const MigrateContext& context) {
  for (const DomainDisk& disk : domain.disks) {
    if (!is_left(disk, facts)) {
      continue;
    }
    LeftDisk left;
    left.dev = disk.target;
    left.image = disk.image.display();
    left.why = disk.stays;
    left.transient = disk.transient;
    left.stored_only = facts.live.find_disk(disk.target) == nullptr;
    left.look = attempt([&] { left.reach = reach_of(disk.image, facts, context); });
    facts.leaving.left.push_back(std::move(left));
  }
}

/// The directory that qemu.conf names for certificates of migrations, or libvirt's own.
std::vector<fs::path> certificate_places() {
  std::istringstream conf(read_small_file("/etc/libvirt/qemu.conf").text);
  std::string line;
  std::string special;
  std::string common;
  static const std::regex kSetting(
      R"re(^\s*(migrate|default)_tls_x509_cert_dir\s*=\s*"([^"]+)".*)re");
  std::smatch match;
  while (std::getline(conf, line)) {
    if (std::regex_match(line, match, kSetting)) {
      (match[1] == "migrate" ? special : common) = match[2].str();
    }
  }
  if (!special.empty()) {
    return {special};
  }
  if (!common.empty()) {
    return {common};
  }
  return {"/etc/pki/libvirt-migrate", "/etc/pki/qemu"};
}

Trial look_at_certificates() {
  std::string places;
  for (const fs::path& place : certificate_places()) {
    std::error_code unknown;
    if (fs::exists(place / "ca-cert.pem", unknown) || unknown) {
      return {};
    }
    places += (places.empty() ? "" : " nor in ") + place.string();
  }
  return {.failure = "there is no ca-cert.pem in " + places,
          .hint =
              "make certificates on both hosts (migrate_tls_x509_cert_dir in qemu.conf), or "
              "leave --tls out"};
}

}  // namespace

void gather_leaving(const MigrateRequest& request, const MigrateContext& context, CopyMethod method,
                    Facts& facts) {
  LeavingFacts& leaving = facts.leaving;
  look_at_left(facts.live, facts, context);
  look_at_left(facts.stored, facts, context);
  if (!is_live(method)) {
    return;
  }
  leaving.asked = attempt(
      [&] { leaving.blockers = context.source->guest(request.domain)->migration_blockers(); });
  if (request.tls && facts.source.local) {
    leaving.certificates = look_at_certificates();
  }
  leaving.route = attempt([&] {
    const Route route = route_of(request, facts.target.uri);
    leaving.endpoint = route.uri;
    require_one_address(route);
    leaving.tried = facts.source.local && try_to_reach(route);
  });
}

}  // namespace vmferry::migrate
