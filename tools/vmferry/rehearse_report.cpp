// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/rehearse_report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/ui/output.h"

namespace vmferry::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* word_of(UpSign sign) {
  switch (sign) {
    case UpSign::kAgent:
      return "agent";
    case UpSign::kLogin:
      return "login";
    default:
      return "running";
  }
}

const char* in_words(UpSign sign) {
  switch (sign) {
    case UpSign::kAgent:
      return "its agent answered";
    case UpSign::kLogin:
      return "its console showed a login prompt";
    default:
      return "it ran";
  }
}

/// The last lines that say something. What is in them is the guest's.
std::vector<std::string> last_lines(std::string_view text) {
  constexpr size_t kMostLines = 5;
  constexpr size_t kMostOfLine = 200;
  std::vector<std::string> lines;
  while (!text.empty() && lines.size() < kMostLines) {
    const size_t end = text.find_last_not_of("\r\n\t ");
    if (end == std::string_view::npos) {
      break;
    }
    text = text.substr(0, end + 1);
    const size_t before = text.find_last_of("\r\n");
    const size_t begin = before == std::string_view::npos ? 0 : before + 1;
    lines.insert(lines.begin(), printable(text.substr(begin, kMostOfLine)));
    text = text.substr(0, begin);
  }
  return lines;
}

Json number_or_null(const std::optional<uint64_t>& number) {
  return number ? Json(*number) : Json();
}

}  // namespace

std::string rehearsal_text(const std::string& domain, const RehearsalReport& report,
                           const std::string& picture) {
  std::string text =
      report.came_up ? fmt::format("{}: its copy came up: {} after {:.1f} s\n", printable(domain),
                                   in_words(report.sign), report.seconds)
                     : fmt::format("{}: its copy did not come up: {} (after {:.1f} s)\n",
                                   printable(domain), printable(report.why_not), report.seconds);
  text += fmt::format("  ran on {} with {} of memory\n", printable(report.host),
                      about_bytes(report.memory));
  for (const std::string& snapshot : report.snapshots) {
    text += "  from " + printable(snapshot) + "\n";
  }
  if (report.written) {
    text += fmt::format("  took {} of the cluster\n", about_bytes(*report.written));
  }
  if (!picture.empty()) {
    text += fmt::format("  screenshot: {} ({})\n", printable(picture),
                        printable(report.screenshot->type));
  } else if (!report.no_screenshot.empty()) {
    text += "  no screenshot: " + printable(report.no_screenshot) + "\n";
  }
  for (const std::string& line : report.left_out) {
    text += "  without " + printable(line) + "\n";
  }
  if (!report.came_up && !report.console.empty()) {
    text += "  the end of its console:\n";
    for (const std::string& line : last_lines(report.console)) {
      text += "    " + line + "\n";
    }
  }
  return text;
}

std::string rehearsal_json(const std::string& domain, const RehearsalReport& report,
                           const std::string& picture) {
  Json json = {{"domain", domain},
               {"came_up", report.came_up},
               {"sign", word_of(report.sign)},
               {"seconds", report.seconds},
               {"copy", report.name},
               {"host", report.host},
               {"snapshots", report.snapshots},
               {"memory_bytes", report.memory},
               {"written_bytes", number_or_null(report.written)},
               {"left_out", report.left_out},
               {"console", last_lines(report.console)}};
  if (!report.came_up) {
    json["why_not"] = report.why_not;
  }
  if (!picture.empty()) {
    json["screenshot"] = {{"file", picture}, {"type", report.screenshot->type}};
  } else if (!report.no_screenshot.empty()) {
    json["no_screenshot"] = report.no_screenshot;
  }
  if (!report.left.empty()) {
    json["left_behind"] = report.left;
  }
  return json_text(json);
}

}  // namespace vmferry::cli
