// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "lib/core/printable.h"
#include "lib/store/nbd/nbd_connection.h"

namespace vmferry {
namespace {

/// libnbd (seen in 1.14) goes on where there is none, and then trusts everybody.
void require_authority(const std::string& directory) {
  const std::string path = directory + "/ca-cert.pem";
  if (::access(path.c_str(), R_OK) != 0) {
    throw errno_error(errno, path, "read the certificate of the authority");
  }
}

}  // namespace

std::string libnbd_said() {
  const char* const text = nbd_get_error();
  std::string_view said = text == nullptr ? "unknown error" : text;
  const size_t colon = said.find(": ");
  if (said.starts_with("nbd_") && colon != std::string_view::npos) {
    said.remove_prefix(colon + 2);
  }
  return printable(said);
}

void NbdConnection::set_up(const NbdAddress& address) {
  if (!address.tls_certificates.empty()) {
    require_authority(address.tls_certificates);
  }
  const bool is_fine =
      handle_ != nullptr && nbd_set_export_name(handle_, address.export_name.c_str()) == 0 &&
      nbd_add_meta_context(handle_, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 &&
      nbd_set_tls(handle_, address.tls ? LIBNBD_TLS_REQUIRE : LIBNBD_TLS_DISABLE) == 0 &&
      (address.tls_user.empty() || nbd_set_tls_username(handle_, address.tls_user.c_str()) == 0) &&
      (address.tls_certificates.empty() ||
       nbd_set_tls_certificates(handle_, address.tls_certificates.c_str()) == 0) &&
      (address.tls_psk_file.empty() ||
       nbd_set_tls_psk_file(handle_, address.tls_psk_file.c_str()) == 0) &&
      (!address.tls_verify_peer || nbd_set_tls_verify_peer(handle_, *address.tls_verify_peer) == 0);
  if (!is_fine) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = name_,
                 .action = "connect",
                 .cause = libnbd_said()});
  }
}

void NbdConnection::connect(const NbdAddress& address) {
  const auto deadline = Clock::now() + patience_.connecting;
  std::unique_lock lock(mutex_);
  const int rc = address.socket.empty()
                     ? nbd_aio_connect_tcp(handle_, address.host.c_str(), address.port.c_str())
                     : nbd_aio_connect_unix(handle_, address.socket.c_str());
  if (rc != 0) {
    break_off(libnbd_said(), nbd_get_errno());
  }
  while (!is_broken_ && nbd_aio_is_connecting(handle_) > 0) {
    move(lock, deadline);
  }
  if (!is_broken_ && nbd_aio_is_ready(handle_) > 0) {
    return;
  }
  if (patience_.stop.stop_requested()) {
    throw cancelled_error();
  }
  const bool is_missing = broken_by_ == ENOENT || broken_by_ == ECONNREFUSED;
  throw Error({.kind = is_missing ? ErrorKind::kNotFound : ErrorKind::kIo,
               .object = name_,
               .action = "connect",
               .cause = reason_.empty() ? "the server closed the connection" : reason_,
               .hint = "'nbdinfo --list' asks a server for its exports"});
}

std::string NbdConnection::peer(const NbdAddress& address) const {
  if (!address.socket.empty()) {
    struct stat status = {};
    const bool is_there = ::stat(address.socket.c_str(), &status) == 0;
    return is_there ? fmt::format("{}:{}", status.st_dev, status.st_ino) : address.socket;
  }
  sockaddr_storage other = {};
  socklen_t length = sizeof other;
  auto* const plain = reinterpret_cast<sockaddr*>(&other);
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  if (::getpeername(nbd_aio_get_fd(handle_), plain, &length) != 0 ||
      ::getnameinfo(plain, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return address.host + " " + address.port;
  }
  return fmt::format("{} {}", host, port);
}

}  // namespace vmferry
