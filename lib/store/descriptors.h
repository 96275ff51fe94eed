// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>

namespace vmferry {

/// How many descriptors, up to `wanted`, this process can still open. Where there are fewer, its
/// own (soft) limit is raised first, as far as the hard one allows. Any thread; what others open
/// meanwhile is not foreseen.
size_t free_descriptors(size_t wanted);

}  // namespace vmferry
