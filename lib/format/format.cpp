// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/format.h"

#include <algorithm>

#include "lib/format/formats.h"

namespace vmferry {
namespace {

const Format& raw() { return formats().back(); }

std::string read_part(const Source& file, uint64_t offset, uint64_t length) {
  std::string text(length, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

std::vector<std::string> names_of(bool (*is_wanted)(const Format&)) {
  std::vector<std::string> names;
  for (const Format& format : formats()) {
    if (is_wanted(format)) {
      names.emplace_back(format.name);
    }
  }
  std::reverse(names.begin(), names.end());  // the plainest first
  return names;
}

}  // namespace

ImageFormat::ImageFormat() : format_(&raw()) {}

const char* ImageFormat::name() const { return format_->name; }

bool ImageFormat::is_container() const { return format_ != &raw(); }

bool ImageFormat::is_foreign() const { return format_->prepare != nullptr || format_->has_disks; }

std::optional<ImageFormat> find_format(std::string_view name) {
  for (const Format& format : formats()) {
    if (format.is_read() && format.name == name) {
      return ImageFormat(format);
    }
  }
  return std::nullopt;
}

std::vector<std::string> format_names() {
  return names_of([](const Format& format) { return format.is_read(); });
}

std::vector<std::string> new_format_names() {
  return names_of([](const Format& format) { return format.maker != nullptr; });
}

ImageFormat probe_format(const Source& file) {
  const uint64_t size = file.size();
  const uint64_t end = std::min(size, ImageMarks::kEnd);
  return probe_format({.start = read_part(file, 0, std::min(size, ImageMarks::kStart)),
                       .end = read_part(file, size - end, end)});
}

ImageFormat probe_format(const ImageMarks& marks) {
  const std::span<const Format> all = formats();
  return ImageFormat(*std::find_if(all.begin(), all.end(),
                                   [&](const Format& format) { return format.looks_like(marks); }));
}

}  // namespace vmferry
