// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "lib/domain/disk_spans.h"
#include "vmferry/domain.h"

namespace vmferry {

/// The text of the disk at `span` when it has moved. The move has been checked.
std::string new_disk(const Domain& domain, const DomainSpans& spans, const DiskSpan& span,
                     const DiskMove& move);

}  // namespace vmferry
