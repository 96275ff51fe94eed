// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/vmdk_descriptor.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include "lib/core/printable.h"

namespace vmferry {
namespace {

constexpr std::string_view kNoParent = "ffffffff";
constexpr size_t kLongestName = 511;                    // QEMU's
constexpr uint64_t kMostSectors = (uint64_t{1} << 53);  // far beyond any disk, and no sum overflows

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

/// The next word of `line`, which loses it.
std::string_view take_word(std::string_view& line) {
  line = trimmed(line);
  const std::string_view word = line.substr(0, std::min(line.find_first_of(" \t"), line.size()));
  line.remove_prefix(word.size());
  return word;
}

std::optional<uint64_t> number(std::string_view word) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value > kMostSectors) {
    return std::nullopt;
  }
  return value;
}

bool is_access(std::string_view word) {
  constexpr std::array<std::string_view, 3> kAccesses = {"RW", "RDONLY", "NOACCESS"};
  return std::find(kAccesses.begin(), kAccesses.end(), word) != kAccesses.end();
}

/// `line` without its first word. Answers a cause, or nothing.
std::string parse_extent(std::string_view line, VmdkExtentLine& extent) {
  const std::optional<uint64_t> sectors = number(take_word(line));
  if (!sectors || *sectors == 0) {
    return "an extent has no size";
  }
  extent.sectors = *sectors;
  extent.type = take_word(line);
  line = trimmed(line);
  if (line.empty()) {
    return {};
  }
  const size_t end = line.find('"', 1);
  if (line.front() != '"' || end == std::string_view::npos || end < 2 || end - 1 > kLongestName) {
    return "an extent has no name in quotes";
  }
  extent.file = line.substr(1, end - 1);
  line.remove_prefix(end + 1);
  if (trimmed(line).empty()) {
    return {};
  }
  const std::optional<uint64_t> first = number(take_word(line));
  if (!first) {
    return "the offset of an extent is not a number";
  }
  // ESX writes a partition's or a device's id after it.
  extent.first_sector = *first;
  return {};
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

std::string without_quotes(std::string_view value) {
  if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
    value = value.substr(1, value.size() - 2);
  }
  return std::string(value);
}

bool is_cid(const std::string& text) {
  return !text.empty() && text.size() <= 8 &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// "createType = ..." and the like. The first of several counts, as for QEMU. Answers a cause.
std::string parse_setting(std::string_view line, VmdkDescriptor& descriptor) {
  const size_t equals = line.find('=');
  if (equals == std::string_view::npos) {
    return {};
  }
  const std::string key = lower_case(trimmed(line.substr(0, equals)));
  const std::string value = without_quotes(trimmed(line.substr(equals + 1)));
  const auto set = [&value](std::string& field) {
    if (!field.empty() && field != value) {
      return std::string("it says two things about the same: '" + printable(value) + "'");
    }
    field = value;
    return std::string();
  };
  if (key == "createtype") {
    return set(descriptor.create_type);
  }
  if (key == "parentfilenamehint") {
    return set(descriptor.parent_name);
  }
  if (key == "cid" || key == "parentcid") {
    std::string cid = lower_case(value);
    if (!is_cid(cid)) {
      return "its content id is not a hexadecimal number";
    }
    cid.insert(0, 8 - cid.size(), '0');
    (key == "cid" ? descriptor.cid : descriptor.parent_cid) = cid;
  }
  return {};
}

std::string parse_line(std::string_view line, VmdkDescriptor& descriptor) {
  if (line.empty() || line.front() == '#') {
    return {};
  }
  std::string_view rest = line;
  const std::string_view word = take_word(rest);
  if (!is_access(word)) {
    return parse_setting(line, descriptor);
  }
  if (descriptor.extents.size() == kMostVmdkExtents) {
    return "it has more than " + std::to_string(kMostVmdkExtents) + " extents";
  }
  VmdkExtentLine extent = {.access = std::string(word), .type = {}, .file = {}};
  std::string cause = parse_extent(rest, extent);
  descriptor.extents.push_back(std::move(extent));
  return cause;
}

}  // namespace

bool VmdkDescriptor::has_parent() const {
  return !parent_name.empty() || (!parent_cid.empty() && parent_cid != kNoParent);
}

VmdkParse parse_vmdk_descriptor(std::string_view text) {
  VmdkParse parsed;
  text = text.substr(0, std::min(text.find('\0'), text.size()));
  while (!text.empty() && parsed.cause.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    parsed.cause = parse_line(trimmed(text.substr(0, end)), parsed.descriptor);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parsed;
}

}  // namespace vmferry
