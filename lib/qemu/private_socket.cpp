// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/qemu/private_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr int kBacklog = 128;
constexpr const char* kName = "nbd";

/// A directory for this user alone that goes with this object, and with what is in it.
class PrivateDirectory {
 public:
  PrivateDirectory() {
    std::error_code error;
    std::filesystem::path parent = std::filesystem::temp_directory_path(error);
    path_ = (error ? "/tmp" : parent.string()) + "/vmferry-nbd.XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr) {
      throw errno_error(errno, path_, "make a directory for a socket");
    }
    fd_ = UniqueFd(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  ~PrivateDirectory() {
    ::unlink((path_ + "/" + kName).c_str());
    ::rmdir(path_.c_str());
  }

  const std::string& path() const { return path_; }
  /// A path for a socket's address, which has room for 107 characters.
  std::string short_path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  std::string path_;
  UniqueFd fd_;
};

UniqueFd unix_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    throw errno_error(errno, "a Unix socket", "make");
  }
  return fd;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

PrivateSocket::PrivateSocket() : listener_(unix_socket()) {
  const PrivateDirectory directory;
  const sockaddr_un address = address_of(directory.short_path() + "/" + kName);
  if (::bind(listener_.get(), generic(address), sizeof(address)) != 0) {
    throw errno_error(errno, directory.path(), "make a socket in");
  }
  if (::listen(listener_.get(), kBacklog) != 0) {
    throw errno_error(errno, directory.path(), "listen in");
  }
  socket_ = UniqueFd(::open(address.sun_path, O_PATH | O_CLOEXEC));
  if (!socket_.valid()) {
    throw errno_error(errno, directory.path(), "open the socket in");
  }
}

UniqueFd PrivateSocket::connect(const std::string& name) const {
  UniqueFd fd = unix_socket();
  const sockaddr_un address = address_of(path());
  if (::connect(fd.get(), generic(address), sizeof(address)) != 0) {
    throw errno_error(errno, name, "connect to the program that reads it");
  }
  return fd;
}

}  // namespace vmferry
