// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/job_words.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "lib/core/printable.h"

namespace vmferry::fleet {
namespace {

using nlohmann::json;

constexpr std::string_view kOurs = "vmferry: ";
constexpr std::string_view kHint = "hint: ";
constexpr std::string_view kFailedCheck = "  FAILED   ";
constexpr std::string_view kHintOfCheck = "           hint: ";
constexpr std::string_view kShutDown = "shut the guest down";  // of lib/migrate/plan.cpp
constexpr size_t kMost = 1500;                                 // of what checks say

}  // namespace

void JobWords::add(const std::string& line) {
  if (line.starts_with('{')) {
    const json value = json::parse(line, nullptr, false);
    try {
      if (value.contains("step")) {
        news_ = {.phase = value.at("step"), .done = 0, .total = 0};
        has_shut_down_ = has_shut_down_ || news_->phase == kShutDown;
      } else if (value.contains("phase")) {
        news_ = {.phase = value.at("phase"),
                 .done = value.value("data_done_bytes", uint64_t{0}),
                 .total = value.value("data_total_bytes", uint64_t{0})};
      }
    } catch (const json::exception&) {
      return;  // of another version
    }
  } else if (line.starts_with(kFailedCheck) && checks_.size() < kMost) {
    checks_ += (checks_.empty() ? "" : "; ") + line.substr(kFailedCheck.size());
  } else if (line.starts_with(kHintOfCheck) && !checks_.empty() && hint_.empty()) {
    hint_ = line.substr(kHintOfCheck.size());
  } else if (line.starts_with(kOurs) && line.find("warning: ") != kOurs.size()) {
    error_ = line.substr(kOurs.size());
  } else if (line.starts_with(kHint)) {
    hint_ = line.substr(kHint.size());
  }
}

std::string JobWords::error(int status) const {
  if (!checks_.empty()) {
    return printable("a check failed: " + checks_);
  }
  return error_.empty() ? "it ended with status " + std::to_string(status) : printable(error_);
}

}  // namespace vmferry::fleet
