// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "lib/domain/xml_tokens.h"

namespace vmferry {

struct Domain;

/// Where one <disk> lies in the text of a definition.
struct DiskSpan {
  Span whole;
  Span start_tag;
  Span end_tag;                ///< empty for <disk/>
  std::vector<Span> children;  ///< the elements directly in it
};

/// Where things lie in the text of a definition.
struct DomainSpans {
  std::vector<DiskSpan> disks;     ///< domain/devices/disk, in their order
  std::vector<Span> instructions;  ///< <?...?> wherever they are
  std::string text;                ///< in which these were found, once a Domain has them

  /// Gives `domain` the spans of its text.
  static void keep(DomainSpans spans, Domain& domain);
  /// Those that `domain` was given. Throws Error kUsage if it is not what was parsed any more: it
  /// compares the whole text.
  static const DomainSpans& of(const Domain& domain);
};

/// Throws Error as parse_domain does for text that is no definition.
DomainSpans find_spans(const XmlPlaces& places);

}  // namespace vmferry
