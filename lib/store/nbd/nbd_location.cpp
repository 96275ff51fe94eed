// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/nbd/nbd_location.h"

#include <sys/un.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <set>
#include <utility>

#include "lib/core/printable.h"
#include "lib/store/address.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr std::string_view kDefaultPort = "10809";
constexpr size_t kLongestExport = 4096;  // the protocol's limit on strings
constexpr size_t kLongestSocket = sizeof(sockaddr_un::sun_path) - 1;

/// Reads one URI.
class NbdUri {
 public:
  NbdUri(std::string_view text, bool tls, bool is_unix) : text_(text), is_unix_(is_unix) {
    address_.tls = tls;
  }

  NbdAddress read(std::string_view rest) {
    if (rest.find('#') != std::string_view::npos) {
      throw malformed("has a '#'", "within a name it is written %23");
    }
    const size_t question = rest.find('?');
    const std::string_view before = rest.substr(0, question);
    const size_t slash = before.find('/');
    read_authority(before.substr(0, slash));
    if (slash != std::string_view::npos) {
      address_.export_name = decoded(before.substr(slash + 1));
    }
    if (question != std::string_view::npos) {
      read_parameters(rest.substr(question + 1));
    }
    check();
    return std::move(address_);
  }

 private:
  Error malformed(std::string cause, std::string hint = {}) const {
    if (hint.empty()) {
      hint = is_unix_ ? "such an address is written nbd+unix:///EXPORT?socket=PATH"
                      : "such an address is written nbd://HOST[:PORT]/EXPORT";
    }
    return Error({.kind = ErrorKind::kUsage,
                  .object = without_secrets(text_),
                  .action = {},
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

  std::string decoded(std::string_view text) const {
    std::string plain;
    for (size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '%') {
        plain += text[at];
        continue;
      }
      unsigned value = 0;
      const char* const digits = text.data() + at + 1;
      const bool complete = text.size() - at > 2;
      if (!complete || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) {
        throw malformed("has a '%' without two hexadecimal digits", "'%' is written %25");
      }
      plain += static_cast<char>(value);
      at += 2;
    }
    if (plain.find('\0') != std::string::npos) {
      throw malformed("contains a NUL byte");
    }
    return plain;
  }

  void read_authority(std::string_view text) {
    const size_t at = text.rfind('@');
    if (at != std::string_view::npos) {
      if (text.substr(0, at).find(':') != std::string_view::npos) {
        throw malformed("has a password, which NBD does not know",
                        "keys are in a file: nbds://USER@HOST/EXPORT?tls-psk-file=FILE");
      }
      address_.tls_user = decoded(text.substr(0, at));
      text.remove_prefix(at + 1);
    }
    if (is_unix_) {
      if (!text.empty()) {
        throw malformed("names a host beside a Unix socket");
      }
      return;
    }
    read_host(text);
  }

  void read_host(std::string_view text) {
    const size_t bracket = text.starts_with('[') ? text.find(']') : 0;
    const size_t colon = bracket == std::string_view::npos ? bracket : text.find(':', bracket);
    std::string_view host = text.substr(0, colon);
    if (text.starts_with('[')) {
      if (!host.ends_with(']')) {
        throw malformed("has a '[' without its ']'");
      }
      host = host.substr(1, host.size() - 2);
    }
    const bool is_plain = std::all_of(host.begin(), host.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_' || c == ':' || c == '%';
    });
    if (!is_plain) {
      throw malformed("has a host name with other characters than letters, digits, '-' and '.'");
    }
    address_.host = host.empty() ? "localhost" : std::string(host);
    if (colon != std::string_view::npos) {
      read_port(text.substr(colon + 1));
    }
  }

  void read_port(std::string_view text) {
    uint16_t port = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port);
    if (error != std::errc() || stop != end || port == 0) {
      throw malformed("has a port that is not a number from 1 to 65535");
    }
    address_.port = std::to_string(port);
  }

  void read_parameters(std::string_view text) {
    std::set<std::string> seen;
    while (!text.empty()) {
      const size_t end = std::min(text.find('&'), text.size());
      const std::string_view one = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      const size_t equals = one.find('=');
      const std::string key(one.substr(0, equals));
      if (equals == std::string_view::npos || equals + 1 == one.size()) {
        throw malformed("has the parameter '" + printable(key) + "' without a value");
      }
      if (!seen.insert(key).second) {
        throw malformed("has the parameter '" + printable(key) + "' twice");
      }
      set(key, decoded(one.substr(equals + 1)));
    }
  }

  void set(const std::string& key, std::string value) {
    if (key == "socket") {
      address_.socket = std::move(value);
    } else if (key == "tls-certificates") {
      address_.tls_certificates = std::move(value);
    } else if (key == "tls-psk-file") {
      address_.tls_psk_file = std::move(value);
    } else if (key == "tls-username") {
      address_.tls_user = std::move(value);
    } else if (key == "tls-verify-peer" && (value == "0" || value == "1")) {
      address_.tls_verify_peer = value == "1";
    } else {
      throw malformed(key == "tls-verify-peer"
                          ? "has the parameter 'tls-verify-peer', which is neither 0 nor 1"
                          : "has an unknown parameter '" + printable(key) + "'",
                      "known are socket, tls-certificates, tls-psk-file, tls-username and "
                      "tls-verify-peer; '&' within a value is written %26");
    }
  }

  void check() const {
    check_place();
    check_tls();
  }

  void check_place() const {
    if (is_unix_ && address_.socket.empty()) {
      throw malformed("does not say which socket");
    }
    if (!is_unix_ && !address_.socket.empty()) {
      throw malformed("names a socket beside a host",
                      "an address with a socket is written nbd+unix:///EXPORT?socket=PATH");
    }
    if (address_.socket.size() > kLongestSocket) {
      throw malformed(
          "has the path of a socket of more than " + std::to_string(kLongestSocket) + " bytes",
          "the system knows no longer ones: use a relative path, or a link");
    }
    if (address_.export_name.size() > kLongestExport) {
      throw malformed("has the name of an export of more than " + std::to_string(kLongestExport) +
                      " bytes");
    }
  }

  void check_tls() const {
    const bool has_keys = !address_.tls_psk_file.empty();
    const bool has_certificates = !address_.tls_certificates.empty();
    const bool for_tls =
        has_keys || has_certificates || !address_.tls_user.empty() || address_.tls_verify_peer;
    if (for_tls && !address_.tls) {
      throw malformed("has a user or parameters for TLS, and would not be encrypted",
                      "an encrypted connection is written nbds:// or nbds+unix://");
    }
    if (has_keys && has_certificates) {
      throw malformed("names both certificates and a file with keys", "leave one of them out");
    }
    if (is_unix_) {
      // libnbd checks names of hosts only (nbd_set_tls_verify_peer(3)).
      if (address_.tls_verify_peer == true) {
        throw malformed("asks to check the server of a Unix socket, which nobody can",
                        "leave tls-verify-peer out");
      }
      return;
    }
    // libnbd (seen in 1.14) trusts everybody then.
    if (address_.tls && !has_keys && !has_certificates && address_.tls_verify_peer != false) {
      throw malformed("does not say which server is trusted",
                      "add ?tls-certificates=DIR or ?tls-psk-file=FILE; ?tls-verify-peer=0 trusts "
                      "whoever answers");
    }
  }

  const std::string_view text_;
  const bool is_unix_;
  NbdAddress address_;
};

/// What would end the name, or trouble a terminal, as %XX.
std::string encoded(std::string_view text, std::string_view also) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte == 0x7f || also.find(c) != std::string_view::npos) {
      shown += {'%', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      shown += c;
    }
  }
  return printable(shown);
}

}  // namespace

std::string NbdAddress::display() const {
  const std::string scheme = tls ? "nbds" : "nbd";
  const std::string name = encoded(export_name, "%?#");
  if (!socket.empty()) {
    return scheme + "+unix:///" + name + "?socket=" + encoded(socket, "%&#");
  }
  const bool has_colons = host.find(':') != std::string::npos;
  return scheme + "://" + (has_colons ? "[" + host + "]" : host) +
         (port == kDefaultPort ? "" : ":" + port) + "/" + name;
}

std::optional<NbdAddress> parse_nbd_address(std::string_view text) {
  struct Scheme {
    std::string_view name;
    bool tls;
    bool is_unix;
  };
  constexpr Scheme kSchemes[] = {{"nbd://", false, false},
                                 {"nbds://", true, false},
                                 {"nbd+unix://", false, true},
                                 {"nbds+unix://", true, true}};
  for (const Scheme& scheme : kSchemes) {
    if (text.starts_with(scheme.name)) {
      return NbdUri(text, scheme.tls, scheme.is_unix).read(text.substr(scheme.name.size()));
    }
  }
  return std::nullopt;
}

}  // namespace vmferry
