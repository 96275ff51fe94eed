// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/chain_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "lib/format/format.h"
#include "lib/format/formats.h"
#include "lib/image/chain.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLongestPart = 100;  // bytes: two of them and the rest fit into 255

/// As much of `text` as file names everywhere can have, with '_' for the rest.
std::string safe_part(std::string_view text, const char* empty) {
  std::string safe(text.substr(0, kLongestPart));
  for (char& c : safe) {
    const bool is_safe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '+' || c == '-';
    c = is_safe ? c : '_';
  }
  if (!safe.empty() && (safe.front() == '.' || safe.front() == '-')) {
    safe.front() = '_';  // neither hidden nor an option
  }
  return safe.empty() ? empty : safe;
}

std::string safe_point(const std::optional<Point>& point) {
  return point ? safe_part(point->name, "snapshot") : "now";
}

/// A file whose name is that of a link.
struct NamedLink {
  std::string path;
  unsigned number = 0;
  std::string point = {};  ///< as its name has it
};

std::optional<NamedLink> parse_link(const fs::path& path, const std::string& name,
                                    const ImageFormat& format) {
  const std::string file = path.filename().string();
  const std::string begin = name + "-";
  const std::string end = std::string(".") + format.name();
  if (!file.starts_with(begin) || !file.ends_with(end) ||
      file.size() <= begin.size() + end.size()) {
    return std::nullopt;
  }
  const std::string_view rest =
      std::string_view(file).substr(begin.size(), file.size() - begin.size() - end.size());
  NamedLink link = {.path = path.string()};
  const auto [stop, error] = std::from_chars(rest.begin(), rest.end(), link.number);
  if (error != std::errc() || stop == rest.end() || *stop != '-') {
    return std::nullopt;
  }
  link.point = std::string(stop + 1, rest.end());
  return link;
}

/// The newest first.
std::vector<NamedLink> list_links(const std::string& directory, const std::string& name,
                                  const ImageFormat& format) {
  std::vector<NamedLink> links;
  std::error_code error;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (auto link = parse_link(at->path(), name, format)) {
      links.push_back(std::move(*link));
    }
  }
  if (error) {
    throw errno_error(error.value(), directory, "list the directory");
  }
  std::sort(links.begin(), links.end(),
            [](const NamedLink& a, const NamedLink& b) { return a.number > b.number; });
  return links;
}

/// Nothing: it is no link of this chain, in spite of its name.
std::optional<ChainLink> open_link(const NamedLink& named, const ImageFormat& format,
                                   const NetworkOptions& network) {
  ChainLink link = {.path = named.path, .number = named.number};
  const SourceOptions options = {.format = format, .network = network};
  bool is_top = true;
  OpenImage image = open_chain(PathLocation{named.path}, options, [&](const SeenImage& seen) {
    if (std::exchange(is_top, false)) {
      std::vector<std::string> damage;
      link.point = facts_of(seen, damage).point;
    }
  });
  if (safe_point(link.point) != named.point) {
    return std::nullopt;
  }
  refuse_being_written(image);
  link.disk = std::move(image.guest);
  link.opened = std::move(image.opened);
  return link;
}

}  // namespace

ImageFormat chain_format() {
  const auto all = formats();
  return ImageFormat(*std::find_if(all.begin(), all.end(), [](const Format& format) {
    return format.maker != nullptr && format.maker->check_link != nullptr;
  }));
}

std::string chain_name(const Location& disk) {
  std::string name = disk.display();
  if (disk.path().empty()) {
    name = name.substr(0, name.find('@'));
  }
  if (const size_t slash = name.find_last_of('/'); slash != std::string::npos) {
    name = name.substr(slash + 1);
  }
  for (const std::string& format : format_names()) {
    if (!disk.path().empty() && name.ends_with("." + format)) {
      name.resize(name.size() - format.size() - 1);
      break;
    }
  }
  return safe_part(name, "disk");
}

std::string chain_link_path(const std::string& directory, const std::string& name, unsigned number,
                            const std::optional<Point>& point, const ImageFormat& format) {
  return (fs::path(directory) /
          fmt::format("{}-{:02}-{}.{}", name, number, safe_point(point), format.name()))
      .string();
}

std::optional<ChainLink> open_newest_link(const std::string& directory, const std::string& name,
                                          const ImageFormat& format,
                                          const NetworkOptions& network) {
  std::optional<ChainLink> newest;
  for (const NamedLink& named : list_links(directory, name, format)) {
    if (newest && named.number < newest->number) {
      break;
    }
    std::optional<ChainLink> link = open_link(named, format, network);
    if (link && newest) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = directory,
                   .action = "look for the newest image of the chain",
                   .cause = fmt::format("both {} and {} have the number {}",
                                        fs::path(newest->path).filename().string(),
                                        fs::path(link->path).filename().string(), link->number),
                   .hint = "move one of them to another directory"});
    }
    if (link) {
      newest = std::move(link);
    }
  }
  return newest;
}

}  // namespace vmferry
