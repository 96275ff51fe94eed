// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/source.h"

#include "vmferry/sink.h"

namespace vmferry {

void Source::find_content(uint64_t offset, uint64_t length, uint32_t /*granularity*/,
                          std::vector<Extent>& out) const {
  for (const uint64_t end = offset + length; offset < end;) {
    out.push_back(extent_at(offset, end - offset));
    offset = out.back().end();
  }
}

void Source::prefetch(uint64_t /*offset*/, uint64_t /*length*/) const {}

bool Sink::share_range(const Source& /*source*/, uint64_t /*offset*/, uint64_t /*length*/) {
  return false;
}

}  // namespace vmferry
