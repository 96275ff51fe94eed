// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/disk_picture.h"

#include "lib/core/zeros.h"

namespace vmferry::test {

void PictureSource::find_content(uint64_t offset, uint64_t length, uint32_t granularity,
                                 std::vector<Extent>& out) const {
  if (!find_zeros_) return Source::find_content(offset, length, granularity, out);
  split_zeros(offset, std::span(bytes_).subspan(offset, length), granularity, out);
}

}  // namespace vmferry::test
