// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/qemu/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "lib/core/unique_fd.h"
#include "lib/qemu/confinement.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr int kFirst = 3;  // the first descriptor of its own
constexpr int kFailed = 127;
constexpr size_t kMostTold = 4096;
constexpr auto kToDie = std::chrono::seconds(3);

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> list;
  list.reserve(strings.size() + 1);
  for (const std::string& text : strings) {
    list.push_back(const_cast<char*>(text.c_str()));  // execve() changes none of them
  }
  list.push_back(nullptr);
  return list;
}

UniqueFd file_in_memory(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid()) {
    throw errno_error(errno, name, "make a file in memory");
  }
  return fd;
}

/// Writes `number` in decimal digits, without a call that may not be made after fork().
void put_decimal(char* at, pid_t number) noexcept {
  char digits[12];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number > 0);
  while (count > 0) {
    *at++ = digits[--count];
  }
  *at = '\0';
}

void default_signals() noexcept {
  for (int signal = 1; signal < NSIG; ++signal) {
    ::signal(signal, SIG_DFL);
  }
  // A message that is cut is better than a death of it.
  ::signal(SIGXFSZ, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// Puts `descriptors` at kFirst and the numbers after it, and closes all others.
bool arrange(std::vector<int>& descriptors, int said) noexcept {
  const int end = kFirst + static_cast<int>(descriptors.size());
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (int& fd : descriptors) {
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, end);
  }
  const int out = ::fcntl(said, F_DUPFD_CLOEXEC, end);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) {
    return false;
  }
  for (size_t i = 0; i < descriptors.size(); ++i) {
    if (::dup2(descriptors[i], kFirst + static_cast<int>(i)) < 0) {
      return false;
    }
  }
  return ::close_range(static_cast<unsigned>(end), ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

/// All that is needed after fork(), where no memory may be asked for.
class PreparedChild {
 public:
  PreparedChild(const ChildStart& start, int said)
      : program_(start.program),
        arguments_(start.arguments),
        environment_(start.environment),
        descriptors_(start.descriptors),
        said_(said),
        confinement_(start.program, start.descriptors),
        parent_(::getpid()) {
    arguments_.insert(arguments_.begin(), program_);
    environment_.emplace_back("LISTEN_PID=0000000000");  // sd_listen_fds(3)
    listen_pid_ = environment_.size() - 1;
    environment_.emplace_back("LISTEN_FDS=1");
    argument_list_ = pointers(arguments_);
    environment_list_ = pointers(environment_);
  }
  PreparedChild(const PreparedChild&) = delete;
  PreparedChild& operator=(const PreparedChild&) = delete;

  /// In the child, whose memory is its own. Comes back if it fails.
  void become() noexcept {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (::getppid() != parent_) {
      ::_exit(kFailed);  // it is gone already
    }
    ::setsid();  // Ctrl-C is for the parent
    default_signals();
    put_decimal(environment_list_[listen_pid_] + std::strlen("LISTEN_PID="), ::getpid());
    confinement_.put_on();  // its descriptor may be where one of the child's has to be
    if (!arrange(descriptors_, said_)) {
      return;
    }
    ::execve(program_.c_str(), argument_list_.data(), environment_list_.data());
  }

 private:
  const std::string program_;
  std::vector<std::string> arguments_;
  std::vector<std::string> environment_;
  std::vector<int> descriptors_;
  const int said_;
  const Confinement confinement_;
  const pid_t parent_;
  std::vector<char*> argument_list_;
  std::vector<char*> environment_list_;
  size_t listen_pid_ = 0;
};

}  // namespace

/// What the keeper and the object share.
struct Child::State {
  explicit State(const ChildStart& start)
      : said(file_in_memory("vmferry-said")), prepared(start, said.get()) {}

  void keep();
  void await_end(pid_t child);

  const UniqueFd said;
  PreparedChild prepared;
  std::mutex mutex;
  std::condition_variable changed;
  pid_t pid = -1;           // not reaped yet
  int start_error = 0;      // an errno
  bool is_started = false;  // or failed to
  std::optional<std::string> ended;
};

void Child::State::keep() {
  const pid_t child = ::fork();
  if (child == 0) {
    prepared.become();
    constexpr char kText[] = "it could not be started: ";
    const char* cause = strerrordesc_np(errno);  // a constant
    (void)!::write(STDERR_FILENO, kText, sizeof(kText) - 1);
    (void)!::write(STDERR_FILENO, cause, std::strlen(cause));
    ::_exit(kFailed);
  }
  {
    const std::lock_guard lock(mutex);
    start_error = child < 0 ? errno : 0;
    pid = child;
    is_started = true;
    changed.notify_all();
  }
  if (child > 0) {
    await_end(child);
  }
}

void Child::State::await_end(pid_t child) {
  siginfo_t info = {};
  while (::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) < 0 &&
         errno == EINTR) {
  }
  // Until it is reaped, nobody else has its number.
  const std::lock_guard lock(mutex);
  int status = 0;
  ::waitpid(child, &status, 0);
  pid = -1;
  ended = WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                              : "exit status " + std::to_string(WEXITSTATUS(status));
  changed.notify_all();
}

Child::Child(const ChildStart& start)
    : state_(std::make_shared<State>(start)), keeper_([state = state_] { state->keep(); }) {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->is_started; });
  if (state_->start_error != 0) {
    throw errno_error(state_->start_error, start.program, "start");
  }
}

Child::~Child() {
  kill();
  keeper_.wait(kToDie);
}

std::optional<std::string> Child::wait(std::chrono::milliseconds time) const {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait_for(lock, time, [this] { return state_->ended.has_value(); });
  return state_->ended;
}

void Child::kill() {
  const std::lock_guard lock(state_->mutex);
  if (state_->pid > 0) {
    ::kill(state_->pid, SIGKILL);
  }
}

std::string Child::said() const {
  const int fd = state_->said.get();
  const off_t end = ::lseek(fd, 0, SEEK_END);
  const size_t length = std::min<size_t>(kMostTold, end < 0 ? 0 : static_cast<size_t>(end));
  std::string text(length, '\0');
  const ssize_t got = ::pread(fd, text.data(), length, end - static_cast<off_t>(length));
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

}  // namespace vmferry
