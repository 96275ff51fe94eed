// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "lib/domain/xml_chars.h"
#include "vmferry/error.h"
#include "vmferry/format.h"

namespace vmferry {
namespace {

[[noreturn]] void nonsense(std::string object, std::string cause, std::string hint = {}) {
  throw Error({.kind = ErrorKind::kUsage,
               .object = std::move(object),
               .action = {},
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

/// Every name ends up in an attribute, and must come back from there as it was.
void check_characters(const char* what, const std::string& value) {
  const bool control = std::any_of(value.begin(), value.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  if (control || first_bad_character(value)) {
    nonsense(fmt::format("the {}", what), "holds characters that XML does not allow, or no UTF-8");
  }
}

void check_rbd_name(const char* what, const std::string& name) {
  check_characters(what, name);
  const std::string object = fmt::format("the {} '{}'", what, name);
  if (name.empty()) {
    nonsense(object, "is empty");
  }
  if (name.find('/') != std::string::npos) {
    nonsense(object, "has a slash in it",
             "a disk is on rbd:POOL/IMAGE; libvirt and QEMU open no namespace of a pool");
  }
  if (name.find('@') != std::string::npos) {
    nonsense(object, "has an '@' in it, after which Ceph expects a snapshot",
             std::string_view(what) == "pool"
                 ? "choose another pool"
                 : "name another with --disk, or with --name-template '{uuid}-{dev}'");
  }
}

bool is_uuid(const std::string& text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(), [](char c, char shape) {
    if (shape == '-') {
      return c == '-';
    }
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

void check_user(const RbdTarget& target) {
  check_characters("Ceph user", target.id);
  check_characters("usage of the secret", target.secret_usage);
  const bool uuid = !target.secret_uuid.empty();
  const bool usage = !target.secret_usage.empty();
  if (uuid && usage) {
    nonsense("the secret", "is named by its UUID and by its usage", "choose one");
  }
  if (uuid && !is_uuid(target.secret_uuid)) {
    nonsense(fmt::format("the secret '{}'", target.secret_uuid), "is not a UUID",
             "'virsh secret-list' prints them");
  }
  if (target.id.empty() && (uuid || usage)) {
    nonsense("the secret", "is of no use without a Ceph user", "name the user: --id libvirt");
  }
  if (target.id.starts_with("client.")) {
    nonsense(fmt::format("the Ceph user '{}'", target.id), "is written without 'client.' here");
  }
  if (!target.id.empty() && !uuid && !usage) {
    nonsense(fmt::format("the Ceph user '{}'", target.id), "has no secret with its key",
             "name libvirt's secret: --secret-uuid UUID or --secret-usage NAME");
  }
}

void check_path(const char* what, const std::string& path) {
  check_characters(what, path);
  if (!path.starts_with('/')) {
    nonsense(fmt::format("the {} '{}'", what, path), "is not an absolute path",
             "libvirt takes no other: it does not know in which directory you are");
  }
}

void check_monitor(const CephMonitor& monitor) {
  check_characters("monitor", monitor.host);
  const std::string object = fmt::format("the monitor '{}'", monitor.host);
  if (monitor.host.empty()) {
    nonsense(object, "is empty");
  }
  if (monitor.host.find_first_of("[]/, ;@") != std::string::npos) {
    nonsense(object, "is neither a host name nor an address");
  }
  if (monitor.port == 0) {
    nonsense(object, "has the port 0");
  }
}

void check(const RbdTarget& target) {
  check_rbd_name("pool", target.pool);
  check_rbd_name("image", target.image);
  check_user(target);
  for (const CephMonitor& monitor : target.monitors) {
    check_monitor(monitor);
  }
  if (!target.conf.empty()) {
    check_path("Ceph configuration", target.conf);
  }
}

void check(const FileTarget& target) {
  check_path("file", target.path);
  if (const auto format = find_format(target.format); !format || format->is_foreign()) {
    nonsense(fmt::format("the format '{}'", target.format), "is not one that vmferry knows");
  }
}

bool is_image_on(const DiskImage& image, const RbdTarget& target) {
  return image.is_rbd() && image.name == target.pool + "/" + target.image && image.snapshot.empty();
}

bool is_image_on(const DiskImage& image, const FileTarget& target) {
  return image.path == target.path && image.format == target.format;
}

std::string format_in(const RbdTarget& /*target*/) { return ImageFormat().name(); }

std::string format_in(const FileTarget& target) { return target.format; }

std::string display(const RbdTarget& target) {
  return fmt::format("rbd:{}/{}", target.pool, target.image);
}

std::string display(const FileTarget& target) { return target.path; }

void check_value(const char* what, const std::optional<std::string>& value,
                 std::initializer_list<std::string_view> allowed) {
  if (!value || value->empty()) {
    return;
  }
  if (std::find(allowed.begin(), allowed.end(), *value) != allowed.end()) {
    return;
  }
  std::string list;
  for (const std::string_view name : allowed) {
    list += list.empty() ? "" : ", ";
    list += name;
  }
  nonsense(fmt::format("{} '{}'", what, *value), "is not a value that libvirt knows",
           fmt::format("it is one of: {}", list));
}

}  // namespace

void check_target(const DiskTarget& target) {
  std::visit([](const auto& t) { check(t); }, target);
}

void check_driver(const DriverOptions& driver) {
  check_value("cache", driver.cache,
              {"default", "none", "writeback", "writethrough", "directsync", "unsafe"});
  check_value("io", driver.io, {"threads", "native", "io_uring"});
  check_value("discard", driver.discard, {"unmap", "ignore"});
  check_value("detect_zeroes", driver.detect_zeroes, {"off", "on", "unmap"});
}

std::string image_format(const DiskTarget& target) {
  return std::visit([](const auto& t) { return format_in(t); }, target);
}

bool is_device_path(const std::string& path) { return path.starts_with("/dev/"); }

bool is_on(const DomainDisk& disk, const DiskTarget& target) {
  return std::visit([&](const auto& t) { return is_image_on(disk.image, t); }, target);
}

std::string display_name(const DiskTarget& target) {
  return std::visit([](const auto& t) { return display(t); }, target);
}

CephMonitor parse_monitor(std::string_view text) {
  const std::string object = fmt::format("the monitor '{}'", text);
  CephMonitor monitor;
  std::string_view rest;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) {
      nonsense(object, "has no ']'");
    }
    monitor.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    const size_t colon = std::min(text.find(':'), text.size());
    monitor.host = text.substr(0, colon);
    rest = text.substr(colon);
    if (rest.find(':', 1) != std::string_view::npos) {
      nonsense(object, "has more than one colon", "an IPv6 address is written in brackets: [::1]");
    }
  }
  if (!rest.empty()) {
    const auto [end, error] =
        std::from_chars(rest.data() + 1, rest.data() + rest.size(), monitor.port);
    if (rest.front() != ':' || error != std::errc() || end != rest.data() + rest.size()) {
      nonsense(object, "has no port between 1 and 65535 after its colon");
    }
  }
  check_monitor(monitor);
  return monitor;
}

}  // namespace vmferry
