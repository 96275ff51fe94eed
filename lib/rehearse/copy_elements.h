// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <tinyxml2.h>

#include <initializer_list>
#include <string>
#include <string_view>

namespace vmferry::rehearsal {

/// Calls `visit` for each element directly in `parent`; it may remove that one.
template <typename Visit>
void each_element(tinyxml2::XMLElement& parent, Visit visit) {
  for (tinyxml2::XMLElement* at = parent.FirstChildElement(); at != nullptr;) {
    tinyxml2::XMLElement& element = *at;
    at = at->NextSiblingElement();
    visit(element);
  }
}

void remove_element(tinyxml2::XMLElement& element);
/// Removes those of these names directly in `parent`.
void remove_elements(tinyxml2::XMLElement& parent, std::initializer_list<std::string_view> names);
/// Removes all elements directly in `parent` but those of these names.
void keep_elements(tinyxml2::XMLElement& parent, std::initializer_list<std::string_view> names);
/// Removes all its attributes but these.
void keep_attributes(tinyxml2::XMLElement& element, std::initializer_list<std::string_view> names);
/// The first element of that name directly in `parent`, which is made if there is none, after those
/// that are there.
tinyxml2::XMLElement& need_element(tinyxml2::XMLElement& parent, const char* name);
/// The same with this text alone, and without attributes.
tinyxml2::XMLElement& set_element(tinyxml2::XMLElement& parent, const char* name,
                                  const std::string& text);

}  // namespace vmferry::rehearsal
