// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/shell_word.h"
#include "tools/vmferry/bases_images.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/text_table.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct BasesOptions {
  LookOptions look;
  std::string pool = "POOL";
};

/// What the images of a base are called on Ceph, and the commands that put them there.
class Commands {
 public:
  Commands(const std::vector<FoundImage>& images, std::string pool)
      : images_(images), pool_(std::move(pool)) {
    for (const FoundImage& image : images) {
      by_path_.emplace(image.disk.path, &image);
    }
  }

  /// None: nobody has looked at the base.
  std::vector<std::string> of(const SharedBase& base) {
    const auto golden = by_path_.find(base.path);
    if (golden == by_path_.end()) {
      return {};
    }
    const std::string volume =
        pool_ + "/" + new_name(stem(base.path) + (base.is_disk ? "-base" : ""));
    const std::string snapshot = volume + "@v1";
    std::vector<std::string> lines = {
        fmt::format("vmferry convert {}{} {}", format_of(*golden->second), shell_word(base.path),
                    shell_word("rbd:" + volume)),
        "rbd snap create " + shell_word(snapshot)};
    for (const BaseSharer& sharer : base.sharers) {
      const FoundImage& image = images_[sharer.disk];
      lines.push_back(fmt::format(
          "vmferry convert --base {} {}{}{} {}", shell_word("rbd:" + snapshot), format_of(image),
          allowance(image, base), shell_word(image.disk.path),
          shell_word("rbd:" + pool_ + "/" +
                     new_name(image.guest.empty() ? stem(image.disk.path) : image.guest))));
    }
    return lines;
  }

 private:
  /// The name of a file without its ending, in characters that mean nothing to RBD.
  static std::string stem(const std::string& path) {
    std::string name = fs::path(path).stem().string();
    std::replace_if(
        name.begin(), name.end(), [](char c) { return c == '@' || c == ':' || c == '\\'; }, '-');
    return name;
  }

  std::string new_name(const std::string& wanted) {
    std::string name = wanted;
    for (int number = 2; !names_.insert(name).second; ++number) {
      name = fmt::format("{}-{}", wanted, number);
    }
    return name;
  }

  /// A format is named only where somebody did, or an image has to open the one below it.
  static std::string format_of(const FoundImage& image) {
    return image.was_probed && image.disk.below.empty()
               ? ""
               : fmt::format("-f {} ", image.format.name());
  }

  /// An image whose format is named may open others in its own directory.
  static std::string allowance(const FoundImage& image, const SharedBase& base) {
    const bool is_beside =
        fs::path(image.disk.path).parent_path() == fs::path(base.path).parent_path();
    return image.disk.below.empty() || is_beside
               ? ""
               : "--allow-file " + shell_word(fs::path(base.path).parent_path().string()) + " ";
  }

  const std::vector<FoundImage>& images_;
  const std::string pool_;
  std::map<std::string, const FoundImage*> by_path_;
  std::set<std::string> names_;
};

std::string shown(const FoundImage& image) {
  return image.disk.path + (image.guest.empty() ? "" : " (" + image.guest + ")");
}

std::string text_of(const SharedBase& base, const std::vector<FoundImage>& images,
                    const std::vector<std::string>& commands) {
  std::string text = printable(base.path) + ": ";
  if (commands.empty()) {
    text += fmt::format("{} images lie over it; it was not looked at (name it as well)\n",
                        base.sharers.size());
  } else {
    text += fmt::format("{} of data; as the base of {} disks it saves {}\n",
                        about_bytes(base.data_bytes), base.sharers.size(),
                        about_bytes(base.saved_bytes()));
  }
  TextTable table({"disk", "shares", ">in common", ">its own"});
  for (const BaseSharer& sharer : base.sharers) {
    const FoundImage& image = images[sharer.disk];
    const bool is_base = image.disk.path == base.path;
    table.add({printable(shown(image)),
               is_base             ? "all"
               : sharer.is_over_it ? "it is over it"
                                   : "the same content",
               is_base || commands.empty() ? "" : about_bytes(sharer.common_bytes),
               is_base ? "" : about_bytes(sharer.own_bytes)});
  }
  text += table.text("  ");
  for (const std::string& line : commands) {
    text += "    " + printable(line) + "\n";
  }
  return text + "\n";
}

Json json_of(const SharedBase& base, const std::vector<FoundImage>& images,
             const std::vector<std::string>& commands) {
  Json sharers = Json::array();
  for (const BaseSharer& sharer : base.sharers) {
    const FoundImage& image = images[sharer.disk];
    Json one = {{"image", image.disk.path},
                {"format", image.format.name()},
                {"probed", image.was_probed},
                {"over_it", sharer.is_over_it},
                {"common_bytes", sharer.common_bytes},
                {"own_bytes", sharer.own_bytes}};
    if (!image.guest.empty()) {
      one["guest_disk"] = image.guest;
    }
    sharers.push_back(std::move(one));
  }
  return {{"base", base.path},
          {"known", !commands.empty()},
          {"data_bytes", base.data_bytes},
          {"saved_bytes", base.saved_bytes()},
          {"disks", std::move(sharers)},
          {"commands", commands}};
}

/// A guest can write the header of an image into its own raw disk.
bool trusts_a_guest(const std::vector<SharedBase>& bases, const std::vector<FoundImage>& images) {
  return std::any_of(bases.begin(), bases.end(), [&](const SharedBase& base) {
    return std::any_of(base.sharers.begin(), base.sharers.end(), [&](const BaseSharer& sharer) {
      return sharer.is_over_it && images[sharer.disk].was_probed;
    });
  });
}

int find_bases(Session& session, const BasesOptions& options) {
  const LookOptions& look = options.look;
  if (look.places.empty() && look.connect.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = {},
                 .action = {},
                 .cause = "there is nothing to look at",
                 .hint = "name directories or images, or a libvirt with --connect"});
  }
  const std::vector<FoundImage> images = look_at_images(session, look);
  std::vector<DiskImageOnHost> disks;
  disks.reserve(images.size());
  for (const FoundImage& image : images) {
    disks.push_back(image.disk);
  }
  const std::vector<SharedBase> bases = find_shared_bases(disks);
  Commands commands(images, options.pool);
  std::string text;
  Json list = Json::array();
  for (const SharedBase& base : bases) {
    const std::vector<std::string> lines = commands.of(base);
    text += text_of(base, images, lines);
    list.push_back(json_of(base, images, lines));
  }
  if (look.run.json) {
    print(json_text({{"images", images.size()}, {"bases", std::move(list)}}) + "\n");
    return 0;
  }
  if (bases.empty()) {
    text = fmt::format("{} images, of which no two could share a base\n", images.size());
  } else if (trusts_a_guest(bases, images)) {
    text +=
        "What lies over what, the images say themselves, and a guest can write such a header into "
        "its raw disk.\nRun a command with -f only for an image that has that format by your own "
        "knowledge.\n";
  }
  print(text);
  return 0;
}

}  // namespace

std::function<int(Session&)> add_bases(CLI::App& app) {
  auto options = std::make_shared<BasesOptions>();
  LookOptions& look = options->look;
  app.add_option("PLACE", look.places, "Directories whose images are looked at, and images");
  app.add_option("--connect", look.connect,
                 "Look at the disks of all machines of this libvirt, which has to be on this host")
      ->type_name("URI");
  app.add_option("--pool", options->pool, "The pool in the commands (default: POOL)")
      ->type_name("POOL");
  app.add_flag_callback(
      "--names-only", [&look] { look.with_contents = false; },
      "Look only at what lies over what; do not read images to compare them");
  add_trust_options(app, look.from);
  add_run_options(app, look.run);
  app.footer(
      "Examples:\n"
      "  vmferry bases /var/lib/libvirt/images\n"
      "  vmferry bases --connect qemu:///system --pool vms\n"
      "\nSee vmferry-bases(1).");
  return [options](Session& session) { return find_bases(session, *options); };
}

}  // namespace vmferry::cli
