// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_location.h"

#include "tests/unit/catch.h"
#include "vmferry/error.h"
#include "vmferry/location.h"

namespace vmferry::test {

TEST_CASE("an address of a web server keeps its secrets") {
  const HttpLocation location =
      parse_http_location("HTTPS://me:p%40ss@Example.org:8443/a%20b.qcow2?X-Signature=abc#part");
  CHECK(location.user == "me");
  CHECK(location.password == "p@ss");
  CHECK(location.url == "https://Example.org:8443/a%20b.qcow2?X-Signature=abc");
  CHECK(location.display == "https://Example.org:8443/a%20b.qcow2?...");
  CHECK(parse_http_location("http://[::1]:80/x").display == "http://[::1]:80/x");
  CHECK(parse_location("http://host/x").display() == "http://host/x");
  CHECK(parse_location("HTTP://u:secret@host/x").display() == "http://host/x");
  CHECK(parse_location("http://host/x").path().empty());
}

TEST_CASE("a malformed address is refused, and does not show its password") {
  for (const std::string& bad :
       {std::string("http://"), std::string("http://me:secret@"),
        std::string("http://me:secret@host:99999/"), std::string("http://me:secret@host:x/"),
        std::string("http://me:secret@ho st/"), std::string("http://me:secret@host/a b"),
        std::string("http://me:secret@[::1/"), std::string("http://me:secret@host/\n"),
        std::string("http://me:secret%00@host/"), std::string("http://me:secret@host/\0x", 24)}) {
    CAPTURE(bad);
    try {
      parse_location(bad);
      FAIL("it was accepted");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUsage);
      CHECK_THAT(error.what(), !Contains("secret"));
    }
  }
}

TEST_CASE("only http and https are of web servers") {
  CHECK(names_http("https://x"));
  CHECK(names_http("hTTp://x"));
  CHECK(!names_http("http:/x"));
  CHECK(!names_http("httpx://x"));
  CHECK(!names_http("file:///x"));
  CHECK(!names_http(""));
  CHECK_THROWS_AS(parse_location("ftp://host/x"), Error);
}

TEST_CASE("a password is for one origin") {
  CHECK(http_origin("https://host/a") == http_origin("https://host:443/b?c"));
  CHECK(http_origin("https://host/a") != http_origin("http://host/a"));
  CHECK(http_origin("https://host/a") != http_origin("https://host:8443/a"));
  CHECK(http_origin("https://host/a") != http_origin("https://host.evil/a"));
  CHECK(http_origin("file:///etc/passwd").empty());
  CHECK(http_origin("nonsense").empty());
  CHECK(http_origin("").empty());
}

}  // namespace vmferry::test
