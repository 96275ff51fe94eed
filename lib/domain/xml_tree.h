// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include <span>
#include <string>
#include <string_view>

#include "lib/domain/xml_tokens.h"

namespace vmferry {

/// Parses the part `part` of a text that XmlTokens found well-formed. `instructions`
/// are those of the whole text, in order: tinyxml2 takes none inside of elements, so the tree has
/// none.
void parse_tree(tinyxml2::XMLDocument& document, std::string_view text, Span part,
                std::span<const Span> instructions);

/// The value of an attribute; empty if there is none, or no element.
std::string attribute(const tinyxml2::XMLElement* element, const char* name);
/// The text of an element without the white space around it; empty if there is none.
std::string text_of(const tinyxml2::XMLElement* element);
/// Null if `element` is, or has no such child.
const tinyxml2::XMLElement* child(const tinyxml2::XMLElement* element, const char* name);

}  // namespace vmferry
