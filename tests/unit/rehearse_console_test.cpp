// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/console_text.h"
#include "tests/unit/catch.h"

namespace vmferry::test {
namespace {

bool shows_login(const std::string& said) {
  rehearsal::ConsoleText at_once;
  at_once.add(said);
  rehearsal::ConsoleText in_bytes;
  for (const char byte : said) {
    in_bytes.add(std::string(1, byte));
  }
  CHECK(at_once.saw_login() == in_bytes.saw_login());
  return at_once.saw_login();
}

}  // namespace

TEST_CASE("a login prompt is a line that ends so", "[rehearse]") {
  CHECK(shows_login("Debian GNU/Linux 12 web1 ttyS0\r\n\r\nweb1 login: "));
  CHECK(shows_login("login:"));
  CHECK(shows_login("web1 login: [  12.5] a message of the kernel\n"));
  CHECK(shows_login("\033[H\033[2J\033]0;title\aweb1 \033[1mlogin:\033[0m "));
  CHECK_FALSE(shows_login(""));
  CHECK_FALSE(shows_login("web1 login\r\n: "));
  CHECK_FALSE(shows_login("nologin:"));
  CHECK_FALSE(shows_login("web1 lo\ngin:"));
  CHECK_FALSE(shows_login("\033]0;web1 login:"));
}

TEST_CASE("of a console its end is kept, however much it says", "[rehearse]") {
  rehearsal::ConsoleText text;
  for (int i = 0; i < 1000; ++i) {
    text.add(std::string(1000, static_cast<char>('a' + i % 26)));
  }
  text.add("the end");
  CHECK(text.end().size() <= 8192);
  CHECK(text.end().ends_with("the end"));
  text.add("\nweb1 login: ");
  CHECK(text.saw_login());
}

}  // namespace vmferry::test
