// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/needs.h"

#include <fmt/format.h>

#include <algorithm>

#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

class NeedFinder {
 public:
  NeedFinder(Host& host, MigrationStorage& storage) : host_(host), storage_(storage) {}

  std::vector<Need> find() {
    for (const std::string& domain : host_.domains()) {
      for (const DefinitionKind kind : {DefinitionKind::kLive, DefinitionKind::kPersistent}) {
        look_at(domain, kind);
      }
    }
    return std::move(needs_);
  }

 private:
  void look_at(const std::string& domain, DefinitionKind kind) {
    try {
      const Domain definition =
          parse_domain(host_.guest(domain)->definition(kind), "domain " + domain);
      for (const DomainDisk& disk : definition.disks) {
        add(domain, disk);
      }
    } catch (const Error& error) {
      // It may have been undefined just now.
      if (error.kind() == ErrorKind::kNotFound) {
        return;
      }
      needs_.push_back({.domain = domain, .dev = {}, .things = {}, .unknown = error.what()});
    }
  }

  void add(const std::string& domain, const DomainDisk& disk) {
    Need need{.domain = domain, .dev = disk.target, .things = {}, .unknown = {}};
    try {
      add_image(disk.image, need);
      for (const DiskImage& backing : disk.backing) {
        add_image(backing, need);
      }
    } catch (const Error& error) {
      need.unknown = error.what();
    }
    if (!need.things.empty() || !need.unknown.empty()) {
      needs_.push_back(std::move(need));
    }
  }

  void add_image(const DiskImage& image, Need& need) {
    if (image.is_rbd()) {
      return need.things.push_back("rbd:" + image.name);
    }
    const std::string path = image.type == "volume" ? host_.volume_path(image.pool, image.volume)
                                                    : path_of(host_, image);
    if (path.empty()) {
      return;
    }
    if (!path.starts_with('/')) {
      return need.things.push_back("rbd:" + path);  // of an RBD pool
    }
    const std::optional<FileLook> look = storage_.look(path);
    if (!look) {
      return;
    }
    need.things.push_back(look->identity);
    const std::optional<ImageFormat> format = format_of(image);
    if (format && !format->is_container()) {
      return;
    }
    // Those that QEMU alone reads would have it started for every disk of every domain.
    if (!format || format->is_foreign()) {
      need.unknown = fmt::format("{} is {}, whose backing files are not read", path, image.format);
      return;
    }
    const ImageParts parts = storage_.image_parts(
        {.path = path, .format = *format, .backing = {}, .chain_known = false, .identity = {}});
    need.things.insert(need.things.end(), parts.files.begin(), parts.files.end());
    if (!parts.unknown.empty()) {
      need.unknown = parts.unknown;
    }
  }

  Host& host_;
  MigrationStorage& storage_;
  std::vector<Need> needs_;
};

}  // namespace

std::vector<Need> all_needs(Host& host, MigrationStorage& storage) {
  return NeedFinder(host, storage).find();
}

std::string who_needs(const std::string& thing, const std::vector<Need>& needs,
                      const std::function<bool(const Need&)>& known) {
  std::string perhaps;
  for (const Need& need : needs) {
    if (known(need)) {
      continue;
    }
    if (std::find(need.things.begin(), need.things.end(), thing) != need.things.end()) {
      return fmt::format("domain {} needs it for {}", need.domain, need.dev);
    }
    if (!need.unknown.empty() && perhaps.empty()) {
      perhaps = fmt::format("domain {} may need it: {}", need.domain, need.unknown);
    }
  }
  return perhaps;
}

std::string why_foreign_stays(const ImageFormat& format) {
  return format.is_foreign() ? fmt::format(
                                   "it is a {} image, which may be made of several files; "
                                   "remove them by hand",
                                   format.name())
                             : std::string();
}

std::string why_file_stays(const HostImage& image, const FileLook& look) {
  if (look.device) {
    return "it is a block device";
  }
  if (look.link) {
    return "it is a link; the image, " + look.real + ", stays as well";
  }
  if (std::string reason = why_foreign_stays(image.format); !reason.empty()) {
    return reason;
  }
  if (image.identity.empty()) {
    return "it was not looked at when the move was planned";
  }
  if (look.identity != image.identity) {
    return "it is not the file that was copied any more";
  }
  return {};
}

std::string why_volume_stays(const HostImage& image, const ImageParts& now) {
  if (now.files.front() != image.identity) {
    return "it is not the volume any more that was copied";
  }
  if (!now.snapshots.empty()) {
    const std::string all =
        now.snapshots.size() == 1 ? "" : fmt::format(" and {} more", now.snapshots.size() - 1);
    return fmt::format("it has the snapshot {}{}: remove them by hand first (rbd snap rm)",
                       now.snapshots.front(), all);
  }
  return {};
}

std::optional<ImageFormat> format_of(const DiskImage& image) {
  return image.format.empty() ? ImageFormat() : find_format(image.format);
}

}  // namespace vmferry::migrate
