// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/json_name.h"

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "lib/core/printable.h"
#include "vmferry/format.h"

namespace vmferry {
namespace {

using nlohmann::json;
using Options = std::map<std::string, std::string>;  // dotted key, value

// They say how to read, not what.
constexpr std::array<std::string_view, 9> kHarmless = {
    "aio",     "auto-read-only", "cache.direct", "cache.no-flush", "detect-zeroes",
    "discard", "force-share",    "locking",      "read-only"};

/// Takes {"a": {"b": "c"}} apart into "a.b" = "c". Answers a cause, or nothing if all is well.
std::string flatten(const json& node, const std::string& prefix, Options& options) {
  for (const auto& [key, value] : node.items()) {
    const std::string name = prefix + key;
    if (value.is_object()) {
      if (auto cause = flatten(value, name + ".", options); !cause.empty()) {
        return cause;
      }
    } else if (value.is_string() || value.is_boolean()) {
      const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
      if (!options.emplace(name, text).second) {
        return "it says '" + printable(name) + "' twice";
      }
    } else {
      return "its option '" + printable(name) + "' is not understood";
    }
  }
  return {};
}

/// The parser keeps the last of two equal keys, QEMU refuses them: so they are looked for.
json parse(const std::string& text, bool& has_twins) {
  std::vector<std::vector<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) {
      keys.emplace_back();
    }
    if (event == json::parse_event_t::object_end) {
      keys.pop_back();
    }
    if (event == json::parse_event_t::key) {
      auto& known = keys.back();
      const auto key = parsed.get<std::string>();
      has_twins = has_twins || std::find(known.begin(), known.end(), key) != known.end();
      known.push_back(key);
    }
    return true;
  };
  return json::parse(text, watch, false);
}

std::optional<std::string> take(Options& options, const std::string& key) {
  const auto found = options.find(key);
  if (found == options.end()) {
    return std::nullopt;
  }
  std::string value = std::move(found->second);
  options.erase(found);
  return value;
}

bool is_file_driver(const std::optional<std::string>& driver) {
  return !driver || *driver == "file" || *driver == "host_device";
}

bool is_harmless(std::string key) {
  if (key.starts_with("file.")) {
    key.erase(0, 5);
  }
  return std::find(kHarmless.begin(), kHarmless.end(), key) != kHarmless.end();
}

JsonName understand(Options options) {
  JsonName name;
  auto driver = take(options, "driver");
  std::optional<std::string> file = take(options, "file.filename");
  if (file) {  // a format over a file
    if (driver && !find_format(*driver)) {
      name.cause = "its driver '" + printable(*driver) + "' is not known here";
    }
    name.format = driver;
    driver = take(options, "file.driver");
  } else {  // a file: with its driver named, what is in it is the disk
    file = take(options, "filename");
    if (driver) {
      name.format = ImageFormat().name();
    }
  }
  if (!file) {
    name.cause = "it does not name a plain file";
  } else if (!is_file_driver(driver)) {
    name.cause = "its driver '" + printable(*driver) + "' is not known here";
  } else if (file->find('\0') != std::string::npos || file->empty()) {
    name.cause = "its file name is empty or contains a NUL byte";
  } else {
    name.file = *file;
  }
  for (const auto& [key, value] : options) {
    if (name.cause.empty() && !is_harmless(key)) {
      name.cause = "its option '" + printable(key) + "' is not understood";
    }
  }
  return name;
}

}  // namespace

std::optional<JsonName> parse_json_name(const std::string& name) {
  constexpr std::string_view kPrefix = "json:";
  if (!name.starts_with(kPrefix)) {
    return std::nullopt;
  }
  bool has_twins = false;
  const json parsed = parse(name.substr(kPrefix.size()), has_twins);
  JsonName failed;
  if (!parsed.is_object()) {
    failed.cause = "it is not a JSON object";
    return failed;
  }
  if (has_twins) {
    failed.cause = "it says one thing twice";
    return failed;
  }
  Options options;
  failed.cause = flatten(parsed, "", options);
  return failed.cause.empty() ? understand(std::move(options)) : failed;
}

}  // namespace vmferry
