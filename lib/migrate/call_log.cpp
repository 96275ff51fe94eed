// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/call_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <ctime>
#include <string_view>
#include <utility>

#include "lib/core/printable.h"
#include "lib/core/threads.h"
#include "lib/migrate/journal.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

namespace vmferry {
namespace migrate {
namespace {

constexpr off_t kLong = 4 << 20;
/// Of what is kept until the file is made.
constexpr size_t kMostPending = 1 << 20;

std::string now() {
  struct timespec time;
  ::clock_gettime(CLOCK_REALTIME, &time);
  struct tm local;
  ::localtime_r(&time.tv_sec, &local);
  std::array<char, 32> text;
  const size_t length = std::strftime(text.data(), text.size(), "%F %T", &local);
  return fmt::format("{}.{:03}", std::string_view(text.data(), length), time.tv_nsec / 1'000'000);
}

/// Not valid: it cannot be.
UniqueFd open_log(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;
  UniqueFd fd(::open(path.c_str(), kFlags, 0600));
  struct stat status;
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
      ::fchmod(fd.get(), 0600) != 0) {
    return UniqueFd();
  }
  // Held as long as it is written to: a long one is put aside only if no other run has it.
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0 && status.st_size > kLong &&
      ::rename(path.c_str(), (path + ".old").c_str()) == 0) {
    return open_log(path);
  }
  return fd;
}

}  // namespace

CallLog::CallLog(std::string path, const std::string& first,
                 std::function<void(const std::string&)> console, std::chrono::milliseconds slow)
    : path_(std::move(path)), console_(std::move(console)), slow_(slow) {
  write(now() + " -- " + printable(first));
  try {
    watcher_ = start_thread([this](std::stop_token stop) { watch(std::move(stop)); });
  } catch (const Error&) {
    // Then a call that hangs is told of only if it changes something.
  }
}

CallLog::~CallLog() = default;

uint64_t CallLog::began(const std::string& call, Kind kind) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  Running& running = running_[id];
  running = {printable(call), Clock::now(), kind == Kind::kChanges, false};
  if (running.changes) {
    tell_beginning(running);
  }
  return id;
}

void CallLog::ended(uint64_t id, const std::string& result) {
  const std::lock_guard lock(mutex_);
  const Running running = std::move(running_.extract(id).mapped());
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - running.start);
  const std::string text = printable(result);
  Answers& answers = answers_[running.call];
  if (!running.told && answers.last == text) {
    ++answers.times;
    return;
  }
  const std::string before =
      answers.times > 1 ? fmt::format("; the answer before came {} times", answers.times) : "";
  answers = {text, 1};
  tell(fmt::format("{} = {} ({} ms{})", running.call, text, took.count(), before));
}

void CallLog::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  is_due_ = true;
  write(now() + " -- " + printable(text));
}

void CallLog::watch(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    wake_.wait_for(lock, stop, slow_ / 2, [] { return false; });
    for (auto& [id, running] : running_) {
      if (!running.told && Clock::now() - running.start >= slow_) {
        tell_beginning(running);
      }
    }
  }
}

void CallLog::tell_beginning(Running& running) {
  running.told = true;
  is_due_ = true;
  tell(running.call + " ...");
}

void CallLog::tell(const std::string& text) {
  write(now() + " " + text);
  if (console_) {
    console_(text);
  }
}

/// A move is worth more than its log: what cannot be written is lost.
void CallLog::write(const std::string& text) {
  if (path_.empty()) {
    return;
  }
  if (pending_.size() < kMostPending) {
    pending_ += text + "\n";
  }
  if (!is_due_) {
    return;
  }
  if (!fd_.valid()) {
    fd_ = open_log(path_);
  }
  const auto size = static_cast<ssize_t>(pending_.size());
  if (fd_.valid() && ::write(fd_.get(), pending_.data(), pending_.size()) != size) {
    fd_ = UniqueFd();
  }
  pending_.clear();
}

}  // namespace migrate

std::string call_log_path(const std::string& domain, const std::string& state_dir) {
  return state_dir + "/" + migrate::state_file_name(domain) + ".log";
}

std::string record_path(const std::string& domain, const std::string& state_dir,
                        const std::string& time) {
  std::string name = migrate::state_file_name(domain) + "-" + time.substr(0, 19) + "Z.record";
  std::replace(name.begin(), name.end(), ' ', 'T');
  return state_dir + "/" + name;
}

std::shared_ptr<CallTrace> log_calls(const std::string& path, const std::string& first,
                                     std::function<void(const std::string&)> console) {
  return std::make_shared<migrate::CallLog>(path, first, std::move(console));
}

}  // namespace vmferry
