// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/bases_images.h"

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <utility>

#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/base.h"
#include "vmferry/describe.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"
#include "vmferry/host.h"

namespace vmferry::cli {
namespace {

namespace fs = std::filesystem;

/// In a directory what is shorter, or no whole sectors, is no disk.
constexpr uint64_t kShortestDisk = 1 << 20;
constexpr uint64_t kSector = 512;

/// The path that an image means by `name`, by the text alone: nothing is asked.
std::string named_path(const std::string& image, const std::string& name) {
  const std::string file = name.starts_with("file:") ? name.substr(5) : name;
  if (name.starts_with("json:") || file.find("://") != std::string::npos) {
    return name;
  }
  return (fs::path(image).parent_path() / file).lexically_normal().string();
}

class Looker {
 public:
  Looker(Session& session, const LookOptions& options)
      : session_(session), options_(options), from_(options.from) {
    from_.network.stop = session.stop();
  }

  std::vector<FoundImage> look() {
    for (const std::string& place : options_.places) {
      look_at_place(place);
    }
    if (!options_.connect.empty()) {
      look_at_machines();
    }
    if (options_.with_contents) {
      read_contents();
    }
    std::vector<FoundImage> all;
    for (auto& [path, image] : found_) {
      all.push_back(std::move(image));
    }
    return all;
  }

 private:
  void look_at_place(const std::string& place) {
    std::error_code error;
    const fs::path path = fs::canonical(place, error);
    if (!error && !fs::is_directory(path, error)) {
      return look_at(path.string(), {}, {}, false);
    }
    fs::directory_iterator entry;
    if (!error) {
      entry = fs::directory_iterator(path, error);
    }
    for (const fs::directory_iterator end; !error && entry != end; entry.increment(error)) {
      std::error_code gone;
      const fs::path file = fs::canonical(entry->path(), gone);
      if (!gone && fs::is_regular_file(file, gone)) {
        look_at(file.string(), {}, {}, true);
      }
    }
    if (error) {
      throw errno_error(error.value(), place, "look for images");
    }
  }

  void look_at_machines() {
    const std::shared_ptr<Host> host = connect_host(options_.connect);
    if (!host->facts().local) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = options_.connect,
                   .action = "look for images",
                   .cause = "its files are on another host",
                   .hint = "run this there"});
    }
    for (const std::string& name : host->domains()) {
      try {
        look_at_machine(*host, name);
      } catch (const Error& error) {
        left_out(name, error);
      }
    }
  }

  void look_at_machine(Host& host, const std::string& name) {
    const Domain domain = parse_domain(host.guest(name)->definition(DefinitionKind::kLive), name);
    for (const DomainDisk& disk : domain.disks) {
      const DiskImage& image = disk.image;
      const std::string path =
          image.type == "volume" ? host.volume_path(image.pool, image.volume) : image.path;
      const bool has_bytes =
          image.type == "file" || image.type == "block" || image.type == "volume";
      if (disk.device != "disk" || !has_bytes || path.empty()) {
        continue;
      }
      std::error_code error;
      const fs::path resolved = fs::canonical(path, error);
      look_at(error ? path : resolved.string(), find_format(image.format), name + "-" + disk.target,
              false);
    }
  }

  /// `entry`: of a directory, where not every file is an image.
  void look_at(const std::string& path, const std::optional<ImageFormat>& format,
               const std::string& guest, bool entry) {
    throw_if_stopped();
    SourceOptions from = from_;
    from.format = format;
    try {
      const ImageInfo info = describe(PathLocation{path}, from, session_.stop());
      const ImageFacts& top = info.chain.front();
      if (entry && !top.format.is_container() &&
          (top.virtual_size < kShortestDisk || top.virtual_size % kSector != 0)) {
        return;
      }
      note(path, info, guest);
    } catch (const Error& error) {
      left_out(path, error);
    }
  }

  void note(const std::string& path, const ImageInfo& info, const std::string& guest) {
    for (size_t i = 0; i < info.chain.size(); ++i) {
      const ImageFacts& facts = info.chain[i];
      const std::string where = i == 0 ? path : facts.name;
      const std::string named = facts.qcow2 ? facts.qcow2->backing_file : "";
      FoundImage image = {.disk = {.path = where,
                                   .below = i + 1 < info.chain.size() ? info.chain[i + 1].name
                                            : named.empty()           ? ""
                                                                      : named_path(where, named),
                                   .data_bytes = facts.data_bytes.value_or(
                                       facts.allocated_bytes.value_or(facts.file_size)),
                                   .digest = nullptr},
                          .format = facts.format,
                          .was_probed = facts.was_probed,
                          .guest = i == 0 ? guest : ""};
      const auto [at, is_new] = found_.emplace(where, image);
      if (!is_new && i == 0 && !guest.empty()) {
        at->second = std::move(image);  // libvirt knows more than a file
      }
    }
  }

  /// Of images that lie over no other; what is over one is told apart by its tables.
  void read_contents() {
    ProgressObserver observer(session_, options_.run.progress_style());
    for (auto& [path, image] : found_) {
      if (!image.disk.below.empty()) {
        continue;
      }
      throw_if_stopped();
      SourceOptions from = from_;
      if (!image.was_probed) {
        from.format = image.format;
      }
      try {
        const OpenImage opened = open_image(PathLocation{path}, from);
        auto digest = std::make_shared<DiskDigest>(opened.guest->size());
        read_digest(*opened.guest, *digest,
                    {.jobs = options_.run.jobs, .stop = session_.stop(), .observer = &observer});
        image.disk.digest = std::move(digest);
      } catch (const Error& error) {
        left_out(path, error);
      }
    }
  }

  void throw_if_stopped() const {
    if (session_.stop().stop_requested()) {
      throw cancelled_error();
    }
  }

  void left_out(const std::string& what, const Error& error) const {
    throw_if_stopped();
    if (!options_.run.quiet) {
      say_notice(fmt::format("{} is left out: {}", what, error.what()));
    }
  }

  Session& session_;
  const LookOptions& options_;
  SourceOptions from_;
  std::map<std::string, FoundImage> found_;
};

}  // namespace

std::vector<FoundImage> look_at_images(Session& session, const LookOptions& options) {
  return Looker(session, options).look();
}

}  // namespace vmferry::cli
