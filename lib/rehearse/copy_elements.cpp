// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/copy_elements.h"

#include <algorithm>
#include <vector>

namespace vmferry::rehearsal {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

void remove_element(tinyxml2::XMLElement& element) { element.Parent()->DeleteChild(&element); }

void remove_elements(tinyxml2::XMLElement& parent, std::initializer_list<std::string_view> names) {
  each_element(parent, [&](tinyxml2::XMLElement& element) {
    if (is_one_of(element.Name(), names)) {
      remove_element(element);
    }
  });
}

void keep_elements(tinyxml2::XMLElement& parent, std::initializer_list<std::string_view> names) {
  each_element(parent, [&](tinyxml2::XMLElement& element) {
    if (!is_one_of(element.Name(), names)) {
      remove_element(element);
    }
  });
}

void keep_attributes(tinyxml2::XMLElement& element, std::initializer_list<std::string_view> names) {
  std::vector<std::string> others;
  for (const tinyxml2::XMLAttribute* at = element.FirstAttribute(); at != nullptr;
       at = at->Next()) {
    if (!is_one_of(at->Name(), names)) {
      others.emplace_back(at->Name());
    }
  }
  for (const std::string& name : others) {
    element.DeleteAttribute(name.c_str());
  }
}

tinyxml2::XMLElement& need_element(tinyxml2::XMLElement& parent, const char* name) {
  tinyxml2::XMLElement* found = parent.FirstChildElement(name);
  if (found == nullptr) {
    found = parent.GetDocument()->NewElement(name);
    parent.InsertEndChild(found);
  }
  return *found;
}

tinyxml2::XMLElement& set_element(tinyxml2::XMLElement& parent, const char* name,
                                  const std::string& text) {
  tinyxml2::XMLElement& element = need_element(parent, name);
  element.DeleteChildren();
  keep_attributes(element, {});
  if (!text.empty()) {
    element.SetText(text.c_str());
  }
  return element;
}

}  // namespace vmferry::rehearsal
