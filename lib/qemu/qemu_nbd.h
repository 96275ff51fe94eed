// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lib/core/unique_fd.h"
#include "lib/format/qemu_image.h"
#include "lib/qemu/child.h"
#include "lib/qemu/private_socket.h"
#include "vmferry/error.h"

namespace vmferry {

/// `qemu-nbd`, which reads an image of a foreign format and serves the guest's disk by NBD, to this
/// process alone, read-only, to any number of connections, as long as this object lives. It gets
/// the very files that are open here, as descriptors, and no name at all. Any thread.
class QemuNbd {
 public:
  /// Throws Error: the program is not installed, it cannot open the image (with its words), or it
  /// did not do so within a minute; kUnsupported if a file of the image is not a file or device of
  /// this host. `image` may go afterwards.
  explicit QemuNbd(const QemuImage& image);

  /// Where it listens: for this process only.
  std::string socket_path() const { return socket_.path(); }
  /// What became of it, if it has ended by itself: to put into an error. Takes up to 0.3 seconds.
  std::optional<std::string> how_it_ended() const;

 private:
  void await_greeting(const UniqueFd& connection);
  std::string words() const;
  Error failed(const std::string& cause) const;

  const std::string name_;  ///< of the image
  const std::string hint_;
  std::vector<std::string> files_;  ///< whose descriptors it has, from kFirstFile on
  PrivateSocket socket_;
  std::unique_ptr<Child> child_;
};

}  // namespace vmferry
