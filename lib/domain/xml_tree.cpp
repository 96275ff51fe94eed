// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/domain/xml_tree.h"

#include <algorithm>
#include <stdexcept>

namespace vmferry {

void parse_tree(tinyxml2::XMLDocument& document, std::string_view text, Span part,
                std::span<const Span> instructions) {
  std::string copy(part.of(text));
  auto instruction =
      std::lower_bound(instructions.begin(), instructions.end(), part.begin,
                       [](const Span& span, size_t offset) { return span.begin < offset; });
  for (; instruction != instructions.end() && instruction->end <= part.end; ++instruction) {
    const auto begin = copy.begin() + static_cast<std::ptrdiff_t>(instruction->begin - part.begin);
    std::fill_n(begin, instruction->end - instruction->begin, ' ');
  }
  if (document.Parse(copy.data(), copy.size()) != tinyxml2::XML_SUCCESS) {
    throw std::logic_error(std::string("tinyxml2 refuses what is well-formed: ") +
                           document.ErrorStr());
  }
}

std::string attribute(const tinyxml2::XMLElement* element, const char* name) {
  const char* value = element ? element->Attribute(name) : nullptr;
  return value ? value : "";
}

std::string text_of(const tinyxml2::XMLElement* element) {
  std::string text;
  for (const auto* node = element ? element->FirstChild() : nullptr; node;
       node = node->NextSibling()) {
    if (const auto* part = node->ToText()) {
      text += part->Value();
    }
  }
  constexpr const char* kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

const tinyxml2::XMLElement* child(const tinyxml2::XMLElement* element, const char* name) {
  return element ? element->FirstChildElement(name) : nullptr;
}

}  // namespace vmferry
