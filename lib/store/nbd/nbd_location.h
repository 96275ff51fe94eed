// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace vmferry {

/// An export of an NBD server: what an NBD URI says (doc/uri.md of the NBD project), decoded.
struct NbdAddress {
  std::string host = {};  ///< name or address, over TCP
  std::string port = "10809";
  std::string socket = {};       ///< path of a Unix socket, in place of host and port
  std::string export_name = {};  ///< empty: the default export

  bool tls = false;                          ///< encrypted, or no connection at all
  std::string tls_user = {};                 ///< whose key of the file below is used
  std::string tls_certificates = {};         ///< directory; empty: where libnbd looks
  std::string tls_psk_file = {};             ///< file with pre-shared keys
  std::optional<bool> tls_verify_peer = {};  ///< nothing: as libnbd does

  /// The URI without what is for TLS: the name used in messages.
  std::string display() const;
};

/// nbd://HOST[:PORT]/EXPORT and nbd+unix:///EXPORT?socket=PATH, or with "nbds" for TLS, which knows
/// USER@ and the parameters tls-certificates, tls-psk-file, tls-username and tls-verify-peer.
/// Nothing: another kind of location. Throws Error (kUsage): malformed; a password in it is not
/// shown. Pure.
std::optional<NbdAddress> parse_nbd_address(std::string_view text);

}  // namespace vmferry
