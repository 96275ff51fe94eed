// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/map.h"

#include "lib/core/map_store.h"

namespace vmferry {
namespace {

bool is_same_file(std::string_view a, std::string_view b) {
  // Nearly always the same string of the same source.
  return (a.data() == b.data() && a.size() == b.size()) || a == b;
}

bool continues(const MappedExtent& run, const MappedExtent& next) {
  if (run.kind != next.kind || run.is_present != next.is_present || run.depth != next.depth ||
      run.host_offset.has_value() != next.host_offset.has_value()) {
    return false;
  }
  if (run.host_offset && *run.host_offset + run.length != *next.host_offset) {
    return false;
  }
  return is_same_file(run.file, next.file);
}

}  // namespace

void map_range(const Source& source, uint64_t offset, uint64_t length, const MapVisitor& visit) {
  if (const auto* layout = dynamic_cast<const Layout*>(&source)) {
    layout->map(offset, length, visit);
    return;
  }
  map_store(source, offset, length, [&](MappedExtent extent) {
    extent.host_offset.reset();  // where it is, such a source does not tell
    visit(extent);
  });
}

void map_store(const Source& store, uint64_t offset, uint64_t length, const MapVisitor& visit) {
  for (const uint64_t end = offset + length; offset < end;) {
    const Extent extent = store.extent_at(offset, end - offset);
    visit({.offset = offset,
           .length = extent.length,
           .kind = extent.is_zero() ? MappedKind::kHole : MappedKind::kData,
           .is_present = true,
           .host_offset = offset,
           .file = store.name()});
    offset = extent.end();
  }
}

void map_source(const Source& source, const MapVisitor& visit) {
  MappedExtent run;
  map_range(source, 0, source.size(), [&](const MappedExtent& next) {
    if (run.length > 0 && continues(run, next)) {
      run.length += next.length;
      return;
    }
    if (run.length > 0) {
      visit(run);
    }
    run = next;
  });
  if (run.length > 0) {
    visit(run);
  }
}

}  // namespace vmferry
