// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace vmferry {

/// The offset of the first byte that is not part of a character of XML 1.0 (section 2.2) in
/// well-formed UTF-8 (RFC 3629).
std::optional<size_t> first_bad_character(std::string_view text);

/// Does `text` begin with a reference to a character (&#10; &#xA;) or to a built-in entity (&lt;)?
bool is_reference(std::string_view text);

/// `value` as it stands between quotes of the kind `quote`.
std::string escape_attribute(std::string_view value, char quote);
/// `value` as it stands between tags.
std::string escape_text(std::string_view value);

}  // namespace vmferry
