// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/source.h"

namespace vmferry {

void Source::prefetch(uint64_t /*offset*/, uint64_t /*length*/) const {}

}  // namespace vmferry
