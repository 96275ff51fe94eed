// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/nbd/nbd_location.h"

#include <random>
#include <string>

#include "tests/unit/catch.h"
#include "vmferry/error.h"
#include "vmferry/location.h"

namespace vmferry::test {
namespace {

NbdAddress nbd_address(std::string_view text) {
  const std::optional<NbdAddress> address = parse_nbd_address(text);
  REQUIRE(address);
  return *address;
}

/// What is said of it.
std::string refusal_of(std::string_view text) {
  try {
    parse_nbd_address(text);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return std::string(error.what()) + " (" + error.hint() + ")";
  }
  return "accepted";
}

}  // namespace

TEST_CASE("an NBD address over TCP has a host, a port and an export") {
  const NbdAddress plain = nbd_address("nbd://host.example.com/disk");
  CHECK(plain.host == "host.example.com");
  CHECK(plain.port == "10809");
  CHECK(plain.export_name == "disk");
  CHECK(!plain.tls);
  CHECK(plain.socket.empty());
  CHECK(nbd_address("nbd://host:10810/a/b").port == "10810");
  CHECK(nbd_address("nbd://host:10810/a/b").export_name == "a/b");
  CHECK(nbd_address("nbd://host//a").export_name == "/a");
  CHECK(nbd_address("nbd://host").export_name.empty());
  CHECK(nbd_address("nbd://host/").export_name.empty());
  CHECK(nbd_address("nbd:///x").host == "localhost");
  CHECK(nbd_address("nbd://[::1]:7/x").host == "::1");
  CHECK(nbd_address("nbd://[::1]:7/x").port == "7");
  CHECK(nbd_address("nbd://[fe80::1%eth0]/x").host == "fe80::1%eth0");
  CHECK(nbd_address("nbd://host/a%20b%3f%2Fc").export_name == "a b?/c");
  CHECK(nbd_address("nbd://host/%c3%bc").export_name == "\xc3\xbc");
}

TEST_CASE("an NBD address with a Unix socket names it") {
  const NbdAddress address = nbd_address("nbd+unix:///disk?socket=/run/nbd%26a.sock");
  CHECK(address.socket == "/run/nbd&a.sock");
  CHECK(address.export_name == "disk");
  CHECK(address.host.empty());
  CHECK(nbd_address("nbd+unix://?socket=x").socket == "x");
  CHECK(nbd_address("nbd+unix:///?socket=x=y").socket == "x=y");
}

TEST_CASE("an NBD address with TLS says who and how") {
  const NbdAddress keys = nbd_address("nbds://alice@host/x?tls-psk-file=/etc/keys.psk");
  CHECK(keys.tls);
  CHECK(keys.tls_user == "alice");
  CHECK(keys.tls_psk_file == "/etc/keys.psk");
  CHECK(!keys.tls_verify_peer);
  const NbdAddress certificates =
      nbd_address("nbds+unix:///?socket=s&tls-certificates=/etc/pki&tls-verify-peer=0");
  CHECK(certificates.tls_certificates == "/etc/pki");
  CHECK(certificates.tls_verify_peer == false);
  CHECK(nbd_address("nbds://h/?tls-username=bob&tls-verify-peer=1&tls-psk-file=x").tls_user ==
        "bob");
}

TEST_CASE("other addresses are not of this store") {
  for (const char* text : {"", "nbd", "nbd:", "nbd:/", "nbd:host:1", "./nbd://x", "NBD://x",
                           "nbd+vsock://2/", "rbd:a/b", "http://x"}) {
    CAPTURE(text);
    CHECK(!parse_nbd_address(text));
  }
}

TEST_CASE("a malformed NBD address is refused with what is wrong") {
  const auto says = [](const char* text, const char* what) {
    CAPTURE(text);
    CHECK_THAT(refusal_of(text), Contains(what));
  };
  says("nbd://host:/x", "port");
  says("nbd://host:0/x", "port");
  says("nbd://host:65536/x", "port");
  says("nbd://host:+1/x", "port");
  says("nbd://host:1x/x", "port");
  says("nbd://::1/x", "port");
  says("nbd://[::1/x", "']'");
  says("nbd://[::1]x/x", "']'");
  says("nbd://a b/x", "host name");
  says("nbd://a\nb/x", "host name");
  says("nbd://host/x#y", "%23");
  says("nbd://host/x%", "hexadecimal");
  says("nbd://host/x%1", "hexadecimal");
  says("nbd://host/x%1g", "hexadecimal");
  says("nbd://host/x%-1", "hexadecimal");
  says("nbd://host/x%00", "NUL");
  says("nbd://host/x?socket=y", "a socket beside a host");
  says("nbd://host/x?foo=1", "unknown parameter 'foo'");
  says("nbd://host/x?socket", "without a value");
  says("nbd://host/x?=y", "unknown parameter ''");
  says("nbds://h/?tls-username=a&tls-username=b", "twice");
  says("nbds://h/?tls-verify-peer=yes", "neither 0 nor 1");
  says("nbds://h/?tls-psk-file=a&tls-certificates=b", "leave one of them out");
  says("nbd://alice@host/x", "would not be encrypted");
  says("nbd://host/x?tls-certificates=/etc", "nbds://");
  says("nbds://host/x", "which server is trusted");
  says("nbds://host/x?tls-verify-peer=1", "which server is trusted");
  says("nbds+unix:///x?socket=y&tls-verify-peer=1", "which nobody can");
  says("nbd+unix:///x", "which socket");
  says("nbd+unix://host/x?socket=y", "a host beside");
  says(("nbd+unix:///?socket=" + std::string(108, 'x')).c_str(), "107 bytes");
  says(("nbd://h/" + std::string(4097, 'x')).c_str(), "4096 bytes");
}

TEST_CASE("what is secret in an NBD address is never shown") {
  for (const char* text :
       {"nbds://alice:hunter2@host/x", "nbd://alice:hunter2@host", "nbd://alice:hun/ter2@host/x",
        "nbd://:hunter2@host:x/", "nbds://host/x?password=hunter2", "nbds://host?key=hun&x=ter2"}) {
    CAPTURE(text);
    const std::string said = refusal_of(text);
    CHECK_THAT(said, !Contains("ter2"));
    CHECK(said != "accepted");
  }
  CHECK(nbd_address("nbds://alice@host/x?tls-psk-file=/etc/keys.psk").display() == "nbds://host/x");
}

TEST_CASE("the name that is shown leads to the same export") {
  for (const char* text :
       {"nbd://host/disk", "nbd://host:7/a%3fb%25c", "nbd://[::1]/x", "nbd://host/a%0ab%23",
        "nbd+unix:///x?socket=/run/a%26b%20c", "nbds+unix:///?socket=s"}) {
    CAPTURE(text);
    const NbdAddress address = nbd_address(text);
    const NbdAddress again = nbd_address(address.display());
    CHECK(again.host == address.host);
    CHECK(again.port == address.port);
    CHECK(again.socket == address.socket);
    CHECK(again.export_name == address.export_name);
    CHECK(again.tls == address.tls);
    CHECK(address.display().find('\n') == std::string::npos);
  }
  CHECK(parse_location("nbd://host:10809/disk").display() == "nbd://host/disk");
}

TEST_CASE("no text makes the parser of NBD addresses do anything but answer or refuse", "[alone]") {
  constexpr std::string_view kPieces[] = {
      "nbd://", "nbds://",      "+unix", "/", "?",    "&",    "=",
      "%",      "%41",          "#",     "@", ":",    "[",    "]",
      "socket", "tls-psk-file", "host",  "1", "\xff", "\x1b", std::string_view("\0", 1)};
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::string text(kPieces[random() % 2]);
    for (unsigned i = random() % 12; i > 0; --i) {
      text += kPieces[random() % std::size(kPieces)];
    }
    CAPTURE(text);
    try {
      const std::optional<NbdAddress> address = parse_nbd_address(text);
      REQUIRE(address);
      REQUIRE(address->display().find('\x1b') == std::string::npos);
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::kUsage);
      REQUIRE(std::string(error.what()).find('\x1b') == std::string::npos);
    }
  }
}

}  // namespace vmferry::test
