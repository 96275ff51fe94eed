// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/history.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

Error no_such(const Source& source, ErrorKind kind, std::string cause, std::string hint) {
  return Error({.kind = kind,
                .object = source.name(),
                .action = "look for the snapshots",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

std::string list_some(const std::vector<Point>& points) {
  constexpr size_t kEnough = 10;
  if (points.empty()) {
    return "it has no snapshots";
  }
  std::string text = "there are: ";
  for (size_t i = 0; i < std::min(kEnough, points.size()); ++i) {
    text += (i == 0 ? "" : ", ") + printable(points[i].name);
  }
  return points.size() > kEnough ? text + " ..." : text;
}

size_t find_point(const Source& source, const std::vector<Point>& points, const std::string& name) {
  const auto is_it = [&name](const Point& point) { return point.name == name; };
  const auto found = std::find_if(points.begin(), points.end(), is_it);
  if (found == points.end()) {
    throw no_such(source, ErrorKind::kNotFound,
                  fmt::format("there is no snapshot '{}'", printable(name)), list_some(points));
  }
  if (std::count_if(points.begin(), points.end(), is_it) > 1) {
    throw no_such(source, ErrorKind::kConflict,
                  fmt::format("several snapshots are called '{}'", printable(name)),
                  "copy all of them: --snapshots all");
  }
  return static_cast<size_t>(found - points.begin());
}

std::vector<Point> points_of(const Source& source) {
  if (const auto* history = dynamic_cast<const History*>(&source)) {
    return history->points();
  }
  throw no_such(source, ErrorKind::kUsage, "such an image cannot have snapshots",
                "leave the option out");
}

}  // namespace

std::string refuse_empty_name(const std::string& name) {
  return name.empty() ? "it names no snapshot" : "";
}

size_t choose_point(const Source& source, const std::string& name) {
  return find_point(source, points_of(source), name);
}

std::vector<size_t> choose_points(const Source& source, const std::vector<std::string>& wanted) {
  const std::vector<Point> points = points_of(source);
  std::vector<size_t> chosen;
  if (wanted == std::vector<std::string>{"all"}) {
    chosen.resize(points.size());
    std::iota(chosen.begin(), chosen.end(), size_t{0});
    return chosen;
  }
  for (const std::string& name : wanted) {
    chosen.push_back(find_point(source, points, name));
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

std::vector<std::string> losses(const std::vector<KeptPoint>& points) {
  std::vector<std::string> lines;
  for (const auto& [point, name] : points) {
    if (point.name != name) {
      lines.push_back(
          fmt::format("the snapshot '{}' is called '{}' there", printable(point.name), name));
    }
    if (point.vm_state_bytes > 0) {
      lines.push_back(fmt::format(
          "the snapshot '{}' has {} of the machine's memory, which is lost: a guest that returns "
          "to it boots anew",
          printable(point.name), about_bytes(point.vm_state_bytes)));
    }
  }
  return lines;
}

std::string names_of(const std::vector<KeptPoint>& points) {
  std::string names;
  for (const KeptPoint& point : points) {
    names += (names.empty() ? "" : ", ") + printable(point.name);
  }
  return names;
}

nlohmann::ordered_json as_json(const std::vector<KeptPoint>& points) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& [point, name] : points) {
    nlohmann::ordered_json entry = {{"name", name},
                                    {"source_name", printable(point.name)},
                                    {"source_id", printable(point.id)},
                                    {"virtual_bytes", point.size}};
    if (point.seconds) {
      entry["taken"] = utc_time({.tv_sec = *point.seconds, .tv_nsec = 0});
    }
    entry["lost_vm_state_bytes"] = point.vm_state_bytes;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace vmferry::cli
