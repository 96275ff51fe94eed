// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/faults/faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/faults/loaded_code.h"

namespace vmferry::faults {

struct Fault {
  std::string call;
  uint64_t first = 1;
  bool and_later = false;
  std::string action;
  std::string argument;

  long number() const { return std::strtol(argument.c_str(), nullptr, 10); }
};

namespace {

// Nothing here may go through the functions that we stand before: system calls only.

[[noreturn]] void die() {
  ::syscall(SYS_kill, ::syscall(SYS_getpid), SIGKILL);
  for (;;) {
    ::syscall(SYS_pause);
  }
}

[[noreturn]] void complain(const std::string& what) {
  const std::string line = "vmferry-faults: " + what + "\n";
  ::syscall(SYS_write, 2, line.data(), line.size());
  ::syscall(SYS_exit_group, 99);
  die();
}

void nap(long ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  ::syscall(SYS_nanosleep, &time, nullptr);
}

bool exists(const std::string& path) {
  return ::syscall(SYS_faccessat, AT_FDCWD, path.c_str(), F_OK) == 0;
}

int errno_named(const std::string& name) {
  for (int code = 1; code < 200; ++code) {
    const char* known = strerrorname_np(code);
    if (known != nullptr && name == known) {
      return code;
    }
  }
  const int code = std::atoi(name.c_str());
  if (code <= 0) {
    complain("no error '" + name + "'");
  }
  return code;
}

std::vector<std::string> split(std::string_view text, char at, size_t most = SIZE_MAX) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t end = parts.size() + 1 < most ? text.find(at) : std::string_view::npos;
    parts.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return parts;
}

/// From the kernel: the program's first calls come before libc has its environment
/// (.preinit_array).
std::string from_environment(const char* name) {
  std::string all;
  std::array<char, 4096> piece;
  const long fd = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/environ", O_RDONLY | O_CLOEXEC, 0);
  for (long got; (got = ::syscall(SYS_read, fd, piece.data(), piece.size())) > 0;) {
    all.append(piece.data(), static_cast<size_t>(got));
  }
  ::syscall(SYS_close, fd);
  const std::string start = std::string(name) + "=";
  for (const std::string& line : split(all, '\0')) {
    if (line.starts_with(start)) {
      return line.substr(start.size());
    }
  }
  return "";
}

std::vector<Fault> parse_faults(const std::string& text) {
  static constexpr std::array kActions = {"kill",      "kill-after", "kill-inside", "delay",
                                          "hold",      "hold-after", "fail",        "fail-after",
                                          "fail-late", "short",      "lose"};
  std::vector<Fault> faults;
  for (const std::string& spec : split(text, ';')) {
    const std::vector<std::string> parts = split(spec, ':', 4);
    if (parts.size() < 3) {
      complain("not CALL:N:ACTION: '" + spec + "'");
    }
    Fault fault = {parts[0], std::strtoull(parts[1].c_str(), nullptr, 10), parts[1].ends_with('+'),
                   parts[2], parts.size() > 3 ? parts[3] : ""};
    bool known = false;
    for (const char* action : kActions) {
      known = known || fault.action == action;
    }
    if (!known || fault.first == 0) {
      complain("cannot read '" + spec + "'");
    }
    if (fault.action.starts_with("fail")) {
      errno_named(fault.argument);
    }
    faults.push_back(std::move(fault));
  }
  return faults;
}

struct Tally {
  uint64_t calls = 0;
  std::vector<uint64_t> sent;  // messages during the first calls of librbd
};

struct State {
  const std::vector<Fault> faults = parse_faults(from_environment("VMFERRY_FAULT"));
  const std::vector<std::string> paths = split(from_environment("VMFERRY_FAULT_PATHS"), ':');
  const std::string log = from_environment("VMFERRY_FAULT_LOG");
  // Replaced as a whole, and never freed: a child that is forked meanwhile finds no lock taken.
  std::atomic<const Code*> code = new Code(Code::now());
  std::mutex mutex;
  std::map<std::string_view, Tally> tallies;
  std::atomic<uint64_t> sent = 0;
  std::atomic<int64_t> sends_to_live = INT64_MAX;
};

/// Made at the first call, which may be before any constructor, and never destroyed.
State& state() {
  static State* const the_state = new State;
  return *the_state;
}

void write_log(const std::string& text) {
  const std::string& log = state().log;
  if (log.empty() || text.empty()) {
    return;
  }
  const long fd =
      ::syscall(SYS_openat, AT_FDCWD, log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  ::syscall(SYS_write, fd, text.data(), text.size());
  ::syscall(SYS_close, fd);
}

void tell(const char* call, uint64_t number, const Fault& fault) {
  write_log("fired " + std::string(call) + " " + std::to_string(number) + " " + fault.action +
            "\n");
}

void hold(const std::string& file) {
  while (!exists(file)) {
    nap(2);
  }
}

std::string name_of_fd(long fd) {
  std::array<char, PATH_MAX> name;
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const long length = ::syscall(SYS_readlinkat, AT_FDCWD, link.c_str(), name.data(), name.size());
  return length > 0 ? std::string(name.data(), static_cast<size_t>(length)) : "";
}

std::string current_directory() {
  std::array<char, PATH_MAX> name;
  return ::syscall(SYS_getcwd, name.data(), name.size()) > 0 ? name.data() : "";
}

std::string whole_name(int directory, const char* path) {
  if (path == nullptr) {
    return name_of_fd(directory);
  }
  const std::string_view name = path;
  constexpr std::string_view kOwnFds = "/proc/self/fd/";
  if (name.starts_with(kOwnFds)) {
    return name_of_fd(std::atol(path + kOwnFds.size()));
  }
  if (name.starts_with('/')) {
    return path;
  }
  const std::string base = directory == AT_FDCWD ? current_directory() : name_of_fd(directory);
  return name.empty() || name == "." ? base : base + "/" + path;
}

/// Does the code of `caller` lie in one of these ranges?
bool is_in(std::vector<Code::Range> Code::*ranges, const void* caller) {
  std::atomic<const Code*>& code = state().code;
  if (Code::holds(code.load()->*ranges, caller)) {
    return true;
  }
  if (!code.load()->is_old()) {
    return false;
  }
  code = new Code(Code::now());
  return Code::holds(code.load()->*ranges, caller);
}

bool counts_name(const void* caller, const std::string& name) {
  const State& now = state();
  if (now.paths.empty()) {
    return is_in(&Code::program, caller);
  }
  for (const std::string& path : now.paths) {
    if (name.starts_with(path)) {
      return true;
    }
  }
  return false;
}

bool may_count(const void* caller) {
  const State& now = state();
  return is_in(&Code::program, caller) ||
         (!now.paths.empty() && is_in(&Code::standard_library, caller));
}

/// Once, whichever way the process ends by itself.
void write_tallies() {
  static std::atomic<bool> written = false;
  if (written.exchange(true)) {
    return;
  }
  State& now = state();
  std::string text;
  std::lock_guard lock(now.mutex);
  for (const auto& [call, tally] : now.tallies) {
    text += "called " + std::string(call) + " " + std::to_string(tally.calls);
    for (const uint64_t sent : tally.sent) {
      text += " " + std::to_string(sent);
    }
    text += "\n";
  }
  write_log(text);
}

__attribute__((destructor)) void at_end() { write_tallies(); }

}  // namespace

bool counts_path(const void* caller, int directory, const char* path) {
  return may_count(caller) && counts_name(caller, whole_name(directory, path));
}

bool counts_fd(const void* caller, int fd) {
  return may_count(caller) && counts_name(caller, state().paths.empty() ? "" : name_of_fd(fd));
}

bool counts_any(const void* caller) { return is_in(&Code::program, caller); }

Moment::Moment(const char* call, bool starts_only) : call_(call), starts_only_(starts_only) {
  State& now = state();
  {
    std::lock_guard lock(now.mutex);
    number_ = ++now.tallies[call].calls;
  }
  sent_before_ = now.sent;
  for (const Fault& fault : now.faults) {
    if (fault.call != "*" && fault.call != call) {
      continue;
    }
    if (fault.and_later ? number_ < fault.first : number_ != fault.first) {
      continue;
    }
    const std::string& action = fault.action;
    if (action == "kill-after" || action == "hold-after") {
      after_ = &fault;
      continue;
    }
    if (action != "kill-inside") {
      tell(call, number_, fault);
    }
    if (action == "kill") {
      die();
    }
    if (action == "kill-inside") {
      armed_ = !starts_only_;
      now.sends_to_live = fault.number();
    }
    if (action == "delay") {
      nap(fault.number());
    }
    if (action == "hold") {
      hold(fault.argument);
    }
    if (action == "fail") {
      error_ = errno_named(fault.argument);
    }
    if (action == "fail-after") {
      error_after_ = errno_named(fault.argument);
    }
    if (action == "fail-late") {
      late_error_ = errno_named(fault.argument);
    }
    if (action == "lose") {
      lost_ = true;
    }
    if (action == "short") {
      short_ = true;
    }
  }
}

Moment::~Moment() {
  const int kept = errno;
  State& now = state();
  if (armed_) {
    now.sends_to_live = INT64_MAX;
  }
  const std::string_view name = call_;
  if (name.starts_with("rbd_") || name.starts_with("rados_")) {
    constexpr size_t kMost = 64;
    std::lock_guard lock(now.mutex);
    std::vector<uint64_t>& sent = now.tallies[call_].sent;
    if (sent.size() < kMost) {
      sent.push_back(now.sent - sent_before_);
    }
  }
  if (after_ != nullptr) {
    tell(call_, number_, *after_);
    if (after_->action == "kill-after") {
      die();
    }
    hold(after_->argument);
  }
  errno = kept;
}

void note_send() {
  State& now = state();
  ++now.sent;
  if (now.sends_to_live == INT64_MAX || --now.sends_to_live != 0) {
    return;
  }
  for (const Fault& fault : now.faults) {
    if (fault.action == "kill-inside") {
      tell(fault.call.c_str(), fault.first, fault);
    }
  }
  die();
}

// What only a module of the program has loaded is not among the next ones.
void* next_symbol(const char* name) {
  void* symbol = ::dlsym(RTLD_NEXT, name);
  for (const char* library : {"librbd.so.1", "librados.so.2"}) {
    void* const loaded = symbol != nullptr ? nullptr : ::dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    if (loaded != nullptr) {
      symbol = ::dlsym(loaded, name);
    }
  }
  if (symbol == nullptr) {
    complain(std::string("no function ") + name);
  }
  return symbol;
}

}  // namespace vmferry::faults

// Ends that run no destructors.
extern "C" void _exit(int status) {
  vmferry::faults::write_tallies();
  ::syscall(SYS_exit_group, status);
  for (;;) {
    ::syscall(SYS_pause);
  }
}

extern "C" void _Exit(int status) { _exit(status); }
