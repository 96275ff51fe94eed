// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/route.h"

#include <fmt/format.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <vector>

#include "lib/core/unique_fd.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

using namespace std::chrono_literals;

/// The first of those that libvirt takes for migrations (migration_port_min in qemu.conf).
constexpr const char* kFirstPort = "49152";
constexpr auto kAnswers = 5s;

struct Endpoint {
  std::string host;
  std::string port;
};

/// Of "SCHEME://[USER@]HOST[:PORT][/...]"; no host: there is none.
Endpoint endpoint_of(const std::string& uri) {
  const size_t begin = uri.find("://");
  if (begin == std::string::npos) {
    return {};
  }
  std::string text = uri.substr(begin + 3, uri.find_first_of("/?", begin + 3) - begin - 3);
  if (const size_t at = text.find('@'); at != std::string::npos) {
    text.erase(0, at + 1);
  }
  const size_t host_end = text.starts_with('[') ? text.find(']') : text.find(':');
  if (text.starts_with('[') && host_end == std::string::npos) {
    return {};
  }
  const size_t colon = text.find(':', host_end == std::string::npos ? text.size() : host_end);
  Endpoint endpoint{.host = text.substr(0, text.starts_with('[') ? host_end : colon), .port = {}};
  if (endpoint.host.starts_with('[')) {
    endpoint.host.erase(0, 1);
  }
  if (colon != std::string::npos) {
    endpoint.port = text.substr(colon + 1);
  }
  return endpoint;
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses look_up(const std::string& host, const std::string& port = {}) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc = ::getaddrinfo(host.c_str(), port.empty() ? nullptr : port.c_str(), &hints, &found);
  if (rc == 0) {
    return {found, &::freeaddrinfo};
  }
  throw Error({.kind = ErrorKind::kNotFound,
               .object = host,
               .action = "look up its address",
               .cause = ::gai_strerror(rc),
               .hint = "--listen-address names the target's address for the migration"});
}

std::vector<std::string> texts_of(const Addresses& addresses) {
  std::vector<std::string> texts;
  for (const addrinfo* one = addresses.get(); one; one = one->ai_next) {
    char text[NI_MAXHOST] = {};
    ::getnameinfo(one->ai_addr, one->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
    texts.emplace_back(text);
  }
  return texts;
}

bool is_wildcard(const std::string& address) { return address == "0.0.0.0" || address == "::"; }

std::string uri_of(const std::string& address) {
  return address.find(':') == std::string::npos ? "tcp://" + address : "tcp://[" + address + "]";
}

/// Empty: it answers, even if it says that nobody listens there yet.
std::string why_silent(const addrinfo& address) {
  const UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    return std::strerror(errno);
  }
  int error = 0;
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0) {
    error = errno;
  }
  if (error == EINPROGRESS) {
    pollfd waiting = {.fd = fd.get(), .events = POLLOUT, .revents = 0};
    const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(kAnswers).count();
    if (::poll(&waiting, 1, static_cast<int>(limit)) != 1) {
      return fmt::format("no answer within {} s", kAnswers.count());
    }
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  return error == 0 || error == ECONNREFUSED ? std::string() : std::strerror(error);
}

}  // namespace

Route route_of(const MigrateRequest& request, const std::string& target_uri) {
  Route route{.listen = request.listen_address, .uri = request.migration_uri};
  if (route.listen.empty() && request.tls) {
    return route;
  }
  if (route.listen.empty()) {
    // libvirt would let the target's NBD server listen on every interface, for anyone to write.
    const std::string host = endpoint_of(target_uri).host;
    route.listen = host.empty() ? "127.0.0.1" : texts_of(look_up(host)).front();
  }
  // libvirt would send the guest to the name that the target calls itself.
  if (route.uri.empty() && !is_wildcard(route.listen)) {
    route.uri = uri_of(route.listen);
  }
  return route;
}

void require_one_address(const Route& route) {
  const std::string host = endpoint_of(route.uri).host;
  if (route.uri.empty() || route.uri.starts_with("unix:")) {
    return;
  }
  if (host.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = route.uri,
                 .action = {},
                 .cause = "is not a migration URI",
                 .hint = "--migration-uri takes tcp://HOST[:PORT], as virsh migrate does"});
  }
  const std::vector<std::string> sent_to = texts_of(look_up(host));
  if (route.listen.empty() || is_wildcard(route.listen)) {
    return;
  }
  for (const std::string& listens : texts_of(look_up(route.listen))) {
    if (std::find(sent_to.begin(), sent_to.end(), listens) != sent_to.end()) {
      return;
    }
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = route.uri,
               .action = {},
               .cause = "the guest would be sent there, and the target's QEMU would listen on " +
                        route.listen + " only",
               .hint = "give --listen-address and --migration-uri one address; if addresses are "
                       "translated in between, let it listen on 0.0.0.0 or ::"});
}

bool try_to_reach(const Route& route) {
  const Endpoint endpoint = endpoint_of(route.uri);
  if (endpoint.host.empty()) {
    return false;
  }
  const Addresses addresses =
      look_up(endpoint.host, endpoint.port.empty() ? kFirstPort : endpoint.port);
  std::string why;
  for (const addrinfo* one = addresses.get(); one; one = one->ai_next) {
    why = why_silent(*one);
    if (why.empty()) {
      return true;
    }
  }
  throw Error({.kind = ErrorKind::kIo,
               .object = route.uri,
               .action = "reach the target for the migration",
               .cause = why,
               .hint = "is it an address of the target, and does its firewall let the ports of "
                       "migrations through (49152-49215, see qemu.conf)?"});
}

}  // namespace vmferry::migrate
