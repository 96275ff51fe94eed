// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <toml++/toml.h>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vmferry::fleet {

/// What is wrong with a plan, by line. Keeps few of many.
class PlanProblems {
 public:
  explicit PlanProblems(std::string name) : name_(std::move(name)) {}

  void add(size_t line, const std::string& what);
  /// Throws Error if there are any.
  void refuse_any();

 private:
  struct Problem {
    size_t line;
    std::string what;
  };
  const std::string name_;
  std::vector<Problem> problems_;
  size_t count_ = 0;
};

/// One table of a plan: each key is asked for once, and what nobody asked for is unknown. What is
/// wrong goes into the list of problems; the answer is nothing then.
class PlanTable {
 public:
  /// `what` is what messages call it: "[limits]".
  PlanTable(const toml::table& table, std::string what, size_t line, PlanProblems& problems)
      : table_(table), what_(std::move(what)), line_(line), problems_(problems) {}

  /// A text that is not empty and holds no control characters. One that is "" counts as left out.
  std::optional<std::string> text(const char* key);
  std::optional<std::string> required_text(const char* key);
  std::optional<int64_t> number(const char* key, int64_t least, int64_t most);
  std::optional<bool> flag(const char* key);
  /// Texts, as above, with their lines.
  std::vector<std::pair<std::string, size_t>> texts(const char* key);
  /// Null: there is none.
  const toml::table* table(const char* key);
  /// [[key]]: the tables, each with its line.
  std::vector<const toml::table*> tables(const char* key);

  /// Where a key stands, or else the table itself.
  size_t line_of(const char* key) const;
  size_t line() const { return line_; }
  void problem(const char* key, const std::string& what) { problems_.add(line_of(key), what); }
  /// To be called when all keys were asked for.
  void refuse_unknown();

 private:
  const toml::node* find(const char* key);
  std::optional<std::string> text_of(const toml::node& node, const std::string& key);

  const toml::table& table_;
  const std::string what_;
  const size_t line_;
  PlanProblems& problems_;
  std::set<std::string, std::less<>> known_;
};

/// Throws Error for what is no TOML.
toml::table parse_toml(std::string_view text, const std::string& name);

}  // namespace vmferry::fleet
