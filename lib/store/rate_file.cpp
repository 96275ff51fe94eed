// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/rate_file.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <string_view>
#include <utility>

#include "lib/core/parse_size.h"
#include "lib/store/file/file_text.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kReadEvery{1};
constexpr size_t kLongestRate = 100;  // with blanks: what is longer is another file

uint64_t read_rate(const std::string& path) {
  const FileText file = read_small_file(path);
  if (file.error != 0) {
    throw errno_error(file.error, path, "read the rate");
  }
  constexpr std::string_view kBlanks = " \t\r\n";
  std::string_view text = file.text;
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(kBlanks)));
  text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
  const auto wrong = [&](const std::string& cause) {
    return Error({.kind = ErrorKind::kUsage,
                  .object = path,
                  .action = "read the rate",
                  .cause = cause,
                  .hint = "it has to hold one size: 50M"});
  };
  if (text.size() > kLongestRate) {
    throw wrong("it holds too much text");
  }
  try {
    return parse_size(text);
  } catch (const Error& error) {
    throw wrong(error.what());
  }
}

class RateFile {
 public:
  RateFile(std::string path, std::function<void(const std::string&)> notice)
      : path_(std::move(path)), notice_(std::move(notice)), rate_(read_rate(path_)) {}

  uint64_t now() {
    const std::lock_guard guard(mutex_);
    if (Clock::now() < read_at_ + kReadEvery) {
      return rate_;
    }
    read_at_ = Clock::now();
    try {
      rate_ = read_rate(path_);
      warned_ = false;
    } catch (const Error& error) {
      if (!std::exchange(warned_, true) && notice_) {
        notice_(std::string(error.what()) + "; the rate stays as it was");
      }
    }
    return rate_;
  }

 private:
  const std::string path_;
  const std::function<void(const std::string&)> notice_;
  std::mutex mutex_;
  uint64_t rate_;
  Clock::time_point read_at_ = Clock::now();
  bool warned_ = false;
};

}  // namespace

RateNow rate_from_file(const std::string& path, std::function<void(const std::string&)> notice) {
  const auto file = std::make_shared<RateFile>(path, std::move(notice));
  return [file] { return file->now(); };
}

}  // namespace vmferry
