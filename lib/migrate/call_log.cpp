// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/call_log.h"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "lib/core/printable.h"
#include "lib/migrate/journal.h"
#include "lib/store/file/file_io.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

namespace vmferry {
namespace migrate {
namespace {

constexpr uint64_t kLong = 4 << 20;
/// A call that took as long is worth its line, whatever it answered.
constexpr std::chrono::milliseconds kSlow{1'000};

std::string now() {
  const auto time = std::chrono::system_clock::now();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto rest = std::chrono::duration_cast<std::chrono::milliseconds>(time - seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:03}",
                     fmt::localtime(std::chrono::system_clock::to_time_t(seconds)), rest.count());
}

UniqueFd open_log(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0 && static_cast<uint64_t>(status.st_size) > kLong &&
      ::rename(path.c_str(), (path + ".old").c_str()) != 0) {
    throw errno_error(errno, path, "keep as " + path + ".old");
  }
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) {
    throw errno_error(errno, path, "open the log of calls");
  }
  return fd;
}

}  // namespace

CallLog::CallLog(const std::string& path, std::function<void(const std::string&)> console)
    : console_(std::move(console)) {
  if (path.empty()) {
    return;
  }
  fd_ = open_log(path);
  size_ = static_cast<uint64_t>(stat_fd(fd_.get(), path).st_size);
}

uint64_t CallLog::began(const std::string& call) {
  const std::lock_guard lock(mutex_);
  const uint64_t id = next_id_++;
  const std::string text = printable(call);
  if (line_is_open_) {
    write("\n");
  }
  Running& running = running_[id];
  running = {text, fmt::format("{} {}", now(), text), Clock::now(), size_};
  write(running.line);
  line_is_open_ = true;
  return id;
}

void CallLog::ended(uint64_t id, const std::string& result) {
  const std::lock_guard lock(mutex_);
  const Running running = std::move(running_.extract(id).mapped());
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - running.start);
  const std::string text = printable(result);
  Answers& answers = answers_[running.call];
  const bool same = answers.last == text && took < kSlow;
  if (same && is_last(running)) {
    ++answers.repeated;
    line_is_open_ = false;
    size_ = running.offset;
    if (fd_.valid() && ::ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) {
      fd_ = UniqueFd();  // a log that cannot be written ends
    }
    return;
  }
  std::string end = fmt::format(" = {} ({} ms", text, took.count());
  if (answers.repeated != 0) {
    end += fmt::format("; the same answer as before {} times", answers.repeated);
  }
  end += ")";
  answers = {text, 0};
  if (is_last(running)) {
    write(end + "\n");
    line_is_open_ = false;
  } else {
    write_whole(running.line + end);
  }
  if (console_) {
    console_(running.call + end);
  }
}

void CallLog::note(const std::string& text) {
  const std::lock_guard lock(mutex_);
  write_whole(fmt::format("{} -- {}", now(), printable(text)));
}

void CallLog::write_whole(const std::string& line) {
  write((line_is_open_ ? "\n" : "") + line + "\n");
  line_is_open_ = false;
}

/// A move is worth more than its log: one that cannot be written ends.
void CallLog::write(const std::string& text) {
  try {
    if (fd_.valid()) {
      pwrite_all(fd_.get(), size_, std::as_bytes(std::span(text)), "the log");
    }
  } catch (const Error&) {
    fd_ = UniqueFd();
  }
  size_ += text.size();
}

}  // namespace migrate

std::string call_log_path(const std::string& domain, const std::string& state_dir) {
  migrate::make_state_directory(state_dir);
  return state_dir + "/" + migrate::state_file_name(domain) + ".log";
}

std::shared_ptr<CallTrace> log_calls(const std::string& path,
                                     std::function<void(const std::string&)> console) {
  return std::make_shared<migrate::CallLog>(path, std::move(console));
}

}  // namespace vmferry
