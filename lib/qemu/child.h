// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"

namespace vmferry {

struct ChildStart {
  std::string program;                 ///< an absolute path
  std::vector<std::string> arguments;  ///< without the program's own name
  std::vector<std::string> environment;
  /// Its descriptors 3, 4 and so on; nothing else is open in it but what it says. They have to stay
  /// open until the child was started only.
  std::vector<int> descriptors;
};

/// A program that runs beside this process, confined (Confinement), for as long as this object
/// lives. It ends with this process, however that ends. Any thread.
class Child {
 public:
  /// Throws Error where no process or thread is to be had.
  explicit Child(const ChildStart& start);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Ends it. One that does not end, since the kernel waits for its disk, is left behind after some
  /// seconds; it ends as soon as it can.
  ~Child();

  /// Does it end within `time`? It is told "exit status 1" or "signal 9".
  std::optional<std::string> wait(std::chrono::milliseconds time) const;
  /// Has it ended? Never waits.
  bool has_ended() const { return wait({}).has_value(); }
  void kill();
  /// What it has written to its standard output and error, the last 4 KiB of it.
  std::string said() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
  /// The parent of the child is a thread: with it the child ends (PR_SET_PDEATHSIG). So that thread
  /// waits for it and does nothing else.
  BlockingCall keeper_;
};

}  // namespace vmferry
