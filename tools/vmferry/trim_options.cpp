// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/trim_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"

namespace vmferry::cli {
namespace {

/// VOLUME:key:SECRET or VOLUME:file:NAME, as other tools over libguestfs spell it.
DiskKey parse_key(const std::string& text) {
  const size_t first = text.find(':');
  const size_t second = first == std::string::npos ? first : text.find(':', first + 1);
  if (second == std::string::npos || first == 0) {
    throw CLI::ValidationError("--key", "it is written VOLUME:file:NAME or VOLUME:key:SECRET");
  }
  const std::string how = text.substr(first + 1, second - first - 1);
  DiskKey key = {text.substr(0, first), text.substr(second + 1)};
  if (how == "key") {
    return key;
  }
  if (how != "file") {
    throw CLI::ValidationError("--key", "before the second colon stands neither file nor key");
  }
  std::ifstream file(key.secret, std::ios::binary);
  std::ostringstream content;
  if (!file || !(content << file.rdbuf())) {
    throw CLI::ValidationError("--key", "cannot read " + key.secret);
  }
  key.secret = content.str();
  if (key.secret.ends_with('\n')) {
    key.secret.pop_back();
  }
  return key;
}

void add_list_option(CLI::App& app, const char* flag, std::vector<std::string>& list,
                     const char* help, CLI::Option* trim) {
  app.add_option(flag, list, help)
      ->type_name("FS")
      ->allow_extra_args(false)
      ->needs(trim)
      ->group(trim->get_group());
}

}  // namespace

void add_trim_options(CLI::App& app, bool& wanted, TrimOptions& options) {
  const char* group = "Trim";
  CLI::Option* trim =
      app.add_flag("--trim", wanted,
                   "Also drop what the guest's file systems do not use (through libguestfs)")
          ->group(group);
  add_list_option(app, "--ignore", options.ignore,
                  "Leave this file system whole: a device (/dev/sda1), UUID or label; may be "
                  "repeated",
                  trim);
  add_list_option(app, "--only", options.only, "Trim only this file system; may be repeated", trim);
  app.add_option_function<std::vector<std::string>>(
         "--key",
         [&options](const std::vector<std::string>& keys) {
           for (const std::string& key : keys) {
             options.keys.push_back(parse_key(key));
           }
         },
         "Key of an encrypted volume: VOLUME:file:NAME or VOLUME:key:SECRET, VOLUME a device, a "
         "UUID or 'all'; may be repeated")
      ->type_name("KEY")
      ->allow_extra_args(false)
      ->needs(trim)
      ->group(group);
  app.add_option("--tmp", options.tmp_dir,
                 "Where what is temporary goes (default: TMPDIR, or /var/tmp)")
      ->type_name("DIR")
      ->needs(trim)
      ->group(group);
  static const std::map<std::string, RoomCheck> kChecks = {
      {"fail", RoomCheck::kFail}, {"warn", RoomCheck::kWarn}, {"ignore", RoomCheck::kIgnore}};
  app.add_option_function<std::string>(
         "--check-tmpdir", [&options](const std::string& name) { options.room = kChecks.at(name); },
         "What to do where the overlay may not fit: fail, warn or ignore (default: fail)")
      ->type_name("HOW")
      ->needs(trim)
      ->check(CLI::IsMember({"fail", "warn", "ignore"}))
      ->group(group);
}

nlohmann::ordered_json parts_as_json(const std::vector<TrimmedPart>& parts) {
  auto or_null = [](const std::optional<uint64_t>& bytes) {
    return bytes ? nlohmann::ordered_json(*bytes) : nlohmann::ordered_json();
  };
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TrimmedPart& part : parts) {
    nlohmann::ordered_json row = {{"name", part.name},
                                  {"type", part.type},
                                  {"size_bytes", part.size},
                                  {"used_bytes", or_null(part.used)},
                                  {"dropped_bytes", or_null(part.dropped)}};
    if (!part.left.empty()) {
      row["left_whole"] = part.left;
    }
    list.push_back(std::move(row));
  }
  return list;
}

std::string parts_in_words(const std::vector<TrimmedPart>& parts) {
  size_t widest = 0;
  for (const TrimmedPart& part : parts) {
    widest = std::max(widest, part.name.size());
  }
  std::string lines;
  for (const TrimmedPart& part : parts) {
    std::string line =
        fmt::format("  {:<{}}  {:<6} {:>10}", part.name, widest, part.type, about_bytes(part.size));
    if (!part.left.empty()) {
      line += ", left whole: " + part.left;
    } else {
      if (part.used) {
        line += fmt::format(", {} used", about_bytes(*part.used));
      }
      if (part.dropped) {
        line += fmt::format(", {} dropped", about_bytes(*part.dropped));
      }
    }
    lines += printable(line) + "\n";
  }
  return lines;
}

}  // namespace vmferry::cli
