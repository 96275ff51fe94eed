// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/core/unique_fd.h"

namespace vmferry {

/// A listening Unix socket that nobody but this process can reach: it has a name in a private
/// directory for a moment only, while it is made. An abstract socket would be open to every user of
/// the host, and one without any name cannot listen (unix(7)). Used by one thread.
class PrivateSocket {
 public:
  /// Throws Error.
  PrivateSocket();

  int listener() const { return listener_.get(); }
  /// Who listens has it: from now on its end is the end of the socket.
  void hand_over() { listener_ = UniqueFd(); }
  /// A path by which this process, as long as this object lives, can connect.
  std::string path() const { return "/proc/self/fd/" + std::to_string(socket_.get()); }
  /// A new connection. Throws Error about `name`.
  UniqueFd connect(const std::string& name) const;

 private:
  UniqueFd listener_;
  UniqueFd socket_;  ///< the socket in its file system (O_PATH)
};

}  // namespace vmferry
