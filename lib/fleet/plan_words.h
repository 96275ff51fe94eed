// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "vmferry/migrate.h"

// What a plan's text calls things.

namespace vmferry::fleet {

struct PlannedWay {
  MigrateMode mode = MigrateMode::kOffline;
  bool warm = false;

  bool operator==(const PlannedWay&) const = default;
};

inline constexpr std::array<std::pair<const char*, PlannedWay>, 3> kWays = {
    {{"live", {.mode = MigrateMode::kLive}},
     {"offline", {.mode = MigrateMode::kOffline}},
     {"warm", {.mode = MigrateMode::kLive, .warm = true}}}};

inline constexpr std::array<std::pair<const char*, Recovery>, 3> kEnds = {
    {{"auto", Recovery::kAuto}, {"finish", Recovery::kFinish}, {"undo", Recovery::kUndo}}};

/// REQUIRES: there is a word for it.
template <typename Words, typename Value>
std::string word_of(const Words& words, Value value) {
  for (const auto& [word, meant] : words) {
    if (meant == value) {
      return word;
    }
  }
  return {};
}

/// "live or offline".
template <typename Words>
std::string all_words(const Words& words) {
  std::string all;
  for (size_t i = 0; i < words.size(); ++i) {
    all += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
    all += words[i].first;
  }
  return all;
}

}  // namespace vmferry::fleet
