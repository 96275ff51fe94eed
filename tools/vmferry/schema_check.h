// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

namespace vmferry::cli {

/// Checks `text` against libvirt's own schema, as virt-xml-validate(1) does. Throws Error
/// kUnsupported if the schema is not installed. Returns what libxml2 has against the text, on one
/// line; empty if it is valid.
std::string schema_complaints(const std::string& text);

}  // namespace vmferry::cli
