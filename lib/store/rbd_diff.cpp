// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd_diff.h"

namespace vmferry {
namespace {

int pass_on(uint64_t offset, size_t length, int exists, void* visit) {
  if (exists != 0) {
    (*static_cast<const std::function<void(const Extent&)>*>(visit))(
        {offset, length, ExtentKind::kData});
  }
  return 0;
}

}  // namespace

int visit_rbd_data(rbd_image_t image, const Extent& range, RbdDiff what,
                   const std::function<void(const Extent&)>& visit) {
  if (range.length == 0) return 0;
  // The interface of C takes the visitor as a pointer to what may be changed.
  auto* argument = const_cast<std::function<void(const Extent&)>*>(&visit);
  return rbd_diff_iterate2(image, nullptr, range.offset, range.length,
                           what == RbdDiff::kObjectsAndParents ? 1 : 0,
                           what == RbdDiff::kExactly ? 0 : 1, pass_on, argument);
}

}  // namespace vmferry
