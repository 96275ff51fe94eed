// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "lib/core/unique_fd.h"

namespace vmferry::fleet {

/// A program that runs for a job, whose standard output and error are read as they come. It is
/// killed with this object, and when the thread that made this ends, however that ends. One thread;
/// no call waits, but the destructor for the end of what it killed.
class JobProcess {
 public:
  /// `held` is open in it, too, until it ends: a lock on it lasts as long. Throws Error.
  JobProcess(const std::string& program, const std::vector<std::string>& arguments, int held);
  JobProcess(const JobProcess&) = delete;
  JobProcess& operator=(const JobProcess&) = delete;
  ~JobProcess();

  /// Takes what it wrote, and looks whether it has ended.
  bool look();
  /// Whole lines of standard error since the last call.
  std::vector<std::string> take_lines();
  /// All of standard output, the first MiB of it.
  const std::string& output() const { return output_; }
  /// Its exit status, or 128 + a signal. REQUIRES: look() was true.
  int status() const { return status_; }
  void signal(int number) const;

 private:
  bool drain(UniqueFd& from, std::string& into, size_t most);

  pid_t pid_ = -1;  ///< until it is reaped
  int status_ = 0;
  UniqueFd out_;
  UniqueFd error_;
  std::string output_;
  std::string said_;
};

}  // namespace vmferry::fleet
