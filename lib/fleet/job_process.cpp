// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/job_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "vmferry/error.h"

namespace vmferry::fleet {
namespace {

constexpr int kFailed = 127;
constexpr size_t kMostOutput = 1 << 20;
constexpr size_t kMostSaid = 1 << 16;  // without an end of line

struct Pipe {
  explicit Pipe(const std::string& object) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      throw errno_error(errno, object, "make a pipe");
    }
    read = UniqueFd(ends[0]);
    write = UniqueFd(ends[1]);
    ::fcntl(read.get(), F_SETFL, O_NONBLOCK);
  }
  UniqueFd read;
  UniqueFd write;
};

void default_signals() noexcept {
  for (int number = 1; number < NSIG; ++number) {
    ::signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

/// In the child, where no memory may be asked for. Never comes back.
[[noreturn]] void become(const char* program, char* const* arguments, pid_t parent, int out,
                         int error, int held) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::getppid() != parent) {
    ::_exit(kFailed);  // it is gone already
  }
  ::setsid();  // Ctrl-C is for the parent
  default_signals();
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(error, STDERR_FILENO);
  ::fcntl(held, F_SETFD, 0);  // stays open
  ::execv(program, arguments);
  constexpr char kText[] = "vmferry: the program of the job could not be started\n";
  (void)!::write(STDERR_FILENO, kText, sizeof(kText) - 1);
  ::_exit(kFailed);
}

}  // namespace

JobProcess::JobProcess(const std::string& program, const std::vector<std::string>& arguments,
                       int held) {
  Pipe out(program);
  Pipe error(program);
  std::vector<char*> list = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) {
    list.push_back(const_cast<char*>(argument.c_str()));  // execv() changes none of them
  }
  list.push_back(nullptr);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) {
    become(program.c_str(), list.data(), parent, out.write.get(), error.write.get(), held);
  }
  if (pid_ < 0) {
    throw errno_error(errno, program, "start");
  }
  out_ = std::move(out.read);
  error_ = std::move(error.read);
}

JobProcess::~JobProcess() {
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

/// False: there is no more to come.
bool JobProcess::drain(UniqueFd& from, std::string& into, size_t most) {
  std::array<char, 65536> piece;
  for (;;) {
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got > 0) {
      into.append(piece.data(),
                  std::min(static_cast<size_t>(got), most - std::min(most, into.size())));
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      return false;
    } else if (errno == EAGAIN) {
      return true;
    }
  }
}

bool JobProcess::look() {
  if (pid_ < 0) {
    return true;
  }
  int status = 0;
  const bool has_ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
  drain(out_, output_, kMostOutput);
  drain(error_, said_, kMostSaid);
  if (has_ended) {
    pid_ = -1;
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return has_ended;
}

std::vector<std::string> JobProcess::take_lines() {
  std::vector<std::string> lines;
  for (size_t end = 0; (end = said_.find('\n')) != std::string::npos;) {
    lines.push_back(said_.substr(0, end));
    said_.erase(0, end + 1);
  }
  return lines;
}

void JobProcess::signal(int number) const {
  if (pid_ > 0) {
    ::kill(pid_, number);
  }
}

}  // namespace vmferry::fleet
