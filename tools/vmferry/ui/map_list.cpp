// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/ui/map_list.h"

#include <fmt/compile.h>

#include <algorithm>
#include <string>

#include "lib/core/printable.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

std::string_view name_of(MappedKind kind) {
  switch (kind) {
    case MappedKind::kData:
      return "data";
    case MappedKind::kCompressed:
      return "compressed";
    case MappedKind::kPreallocated:
      return "preallocated";
    case MappedKind::kZero:
      return "zero";
    case MappedKind::kHole:
      return "hole";
  }
  return "";
}

// Digits of the largest number that a column holds.
size_t digits(uint64_t largest) { return fmt::formatted_size("{}", largest); }

}  // namespace

void print_map_table(const Source& disk, Output& out, std::stop_token stop) {
  const size_t width = std::max<size_t>(digits(disk.size()), 6);
  // An offset in a file may be longer than one of the disk, but seldom is: 12 digits are a
  // terabyte.
  const size_t host_width = std::max<size_t>(width, 12);
  fmt::format_to(fmt::appender(out.buffer()), "{:>{}}  {:>{}}  {:<12}  {:>5}  {:>{}}  {}\n",
                 "offset", width, "length", width, "kind", "depth", "in file at", host_width,
                 "file");
  map_source(disk, [&](const MappedExtent& e) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    const auto end = fmt::appender(out.buffer());
    fmt::format_to(end, FMT_COMPILE("{:>{}}  {:>{}}  {:<12}  {:>5}  "), e.offset, width, e.length,
                   width, name_of(e.kind), e.depth);
    if (e.host_offset) {
      fmt::format_to(end, FMT_COMPILE("{:>{}}  {}\n"), *e.host_offset, host_width,
                     printable(std::string(e.file)));
    } else {
      fmt::format_to(end, FMT_COMPILE("{:>{}}  {}\n"), "-", host_width,
                     e.is_present ? printable(std::string(e.file)) : std::string("-"));
    }
    out.flush_if_full();
  });
  out.flush();
}

void print_map_json(const Source& disk, Output& out, std::stop_token stop) {
  bool is_first = true;
  out.put("[");
  map_source(disk, [&](const MappedExtent& e) {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    const auto end = fmt::appender(out.buffer());
    if (!is_first) {
      out.buffer().append(std::string_view(",\n"));
    }
    is_first = false;
    fmt::format_to(end,
                   FMT_COMPILE("{{ \"start\": {}, \"length\": {}, \"depth\": {}, \"present\": {}, "
                               "\"zero\": {}, \"data\": {}, \"compressed\": {}"),
                   e.offset, e.length, e.depth, e.is_present, e.is_zero(), e.is_data(),
                   e.kind == MappedKind::kCompressed);
    if (e.host_offset) {
      fmt::format_to(end, FMT_COMPILE(", \"offset\": {}"), *e.host_offset);
    }
    out.buffer().push_back('}');
    out.flush_if_full();
  });
  // What QEMU says about a disk of no bytes.
  if (is_first) {
    out.put(
        "{ \"start\": 0, \"length\": 0, \"depth\": 0, \"present\": false, \"zero\": false, "
        "\"data\": false, \"compressed\": false}");
  }
  out.put("]\n");
  out.flush();
}

}  // namespace vmferry::cli
