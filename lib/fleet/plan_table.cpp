// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/plan_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "lib/core/printable.h"
#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

/// More are only counted.
constexpr size_t kMostProblems = 10;

size_t line_of_node(const toml::node& node) { return node.source().begin.line; }

Error wrong_in(const std::string& name, size_t line, const std::string& what,
               const std::string& hint = {}) {
  return Error({.kind = ErrorKind::kUsage,
                .object = fmt::format("{}:{}", name, line),
                .action = {},
                .cause = what,
                .hint = hint});
}

const char* name_of(toml::node_type type) {
  switch (type) {
    case toml::node_type::string:
      return "a text in quotes";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::boolean:
      return "true or false";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::table:
      return "a table";
    default:
      return "something else";
  }
}

std::string is_not(const std::string& key, const toml::node& node, toml::node_type wanted) {
  return fmt::format("'{}' is {}; it has to be {}", printable(key), name_of(node.type()),
                     name_of(wanted));
}

bool has_controls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

}  // namespace

void PlanProblems::add(size_t line, const std::string& what) {
  ++count_;
  if (problems_.size() < kMostProblems) {
    problems_.push_back({line, what});
  }
}

void PlanProblems::refuse_any() {
  if (problems_.empty()) {
    return;
  }
  std::stable_sort(problems_.begin(), problems_.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string more;
  for (size_t i = 1; i < problems_.size(); ++i) {
    more += fmt::format("{}line {}: {}", more.empty() ? "also wrong: " : "; ", problems_[i].line,
                        problems_[i].what);
  }
  if (count_ > problems_.size()) {
    more += fmt::format("; and {} more", count_ - problems_.size());
  }
  throw wrong_in(name_, problems_.front().line, problems_.front().what, more);
}

const toml::node* PlanTable::find(const char* key) {
  known_.insert(key);
  return table_.get(key);
}

size_t PlanTable::line_of(const char* key) const {
  const toml::node* node = table_.get(key);
  return node != nullptr && line_of_node(*node) != 0 ? line_of_node(*node) : line_;
}

std::optional<std::string> PlanTable::text_of(const toml::node& node, const std::string& key) {
  const toml::value<std::string>* value = node.as_string();
  if (value == nullptr) {
    problems_.add(line_of_node(node), is_not(key, node, toml::node_type::string));
    return std::nullopt;
  }
  if (has_controls(value->get())) {
    problems_.add(line_of_node(node), fmt::format("'{}' holds a control character", key));
    return std::nullopt;
  }
  return value->get();
}

std::optional<std::string> PlanTable::text(const char* key) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  std::optional<std::string> value = text_of(*node, key);
  return value && value->empty() ? std::nullopt : value;
}

std::optional<std::string> PlanTable::required_text(const char* key) {
  const toml::node* node = find(key);
  const bool left_out = node == nullptr || (node->as_string() && node->as_string()->get().empty());
  if (left_out) {
    problems_.add(line_of(key), fmt::format("{} has no '{}'", what_, key));
    return std::nullopt;
  }
  return text_of(*node, key);
}

std::optional<int64_t> PlanTable::number(const char* key, int64_t least, int64_t most) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  const toml::value<int64_t>* value = node->as_integer();
  if (value == nullptr) {
    problem(key, is_not(key, *node, toml::node_type::integer));
    return std::nullopt;
  }
  if (value->get() < least || value->get() > most) {
    problem(key, fmt::format("'{}' is {}; it has to be {} at least and {} at most", key,
                             value->get(), least, most));
    return std::nullopt;
  }
  return value->get();
}

std::optional<bool> PlanTable::flag(const char* key) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  const toml::value<bool>* value = node->as_boolean();
  if (value == nullptr) {
    problem(key, is_not(key, *node, toml::node_type::boolean));
    return std::nullopt;
  }
  return value->get();
}

std::vector<std::pair<std::string, size_t>> PlanTable::texts(const char* key) {
  const toml::node* node = find(key);
  std::vector<std::pair<std::string, size_t>> found;
  if (node == nullptr) {
    return found;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    problem(key, is_not(key, *node, toml::node_type::array));
    return found;
  }
  for (const toml::node& element : *array) {
    if (std::optional<std::string> value = text_of(element, key)) {
      found.emplace_back(*std::move(value), line_of_node(element));
    }
  }
  return found;
}

const toml::table* PlanTable::table(const char* key) {
  const toml::node* node = find(key);
  if (node == nullptr) {
    return nullptr;
  }
  if (node->as_table() == nullptr) {
    problem(key,
            fmt::format("'{0}' is {1}; it has to be a table: [{0}]", key, name_of(node->type())));
  }
  return node->as_table();
}

std::vector<const toml::table*> PlanTable::tables(const char* key) {
  const toml::node* node = find(key);
  std::vector<const toml::table*> found;
  if (node == nullptr) {
    return found;
  }
  const std::string wanted = fmt::format("'{0}' has to be tables: [[{0}]] for each", key);
  if (node->as_array() == nullptr) {
    problem(key, wanted);
    return found;
  }
  for (const toml::node& element : *node->as_array()) {
    if (element.as_table() == nullptr) {
      problems_.add(line_of_node(element), wanted);
    } else {
      found.push_back(element.as_table());
    }
  }
  return found;
}

void PlanTable::refuse_unknown() {
  std::string names;
  for (const std::string& name : known_) {
    names += (names.empty() ? "" : ", ") + name;
  }
  for (const auto& [key, node] : table_) {
    if (!known_.contains(key.str())) {
      problems_.add(key.source().begin.line, fmt::format("{} has no key '{}'; it may have {}",
                                                         what_, printable(key.str()), names));
    }
  }
}

toml::table parse_toml(std::string_view text, const std::string& name) {
  try {
    return toml::parse(text);
  } catch (const toml::parse_error& error) {
    throw wrong_in(name, error.source().begin.line, printable(error.description()),
                   "a plan is TOML: see https://toml.io");
  }
}

}  // namespace vmferry::fleet
