// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/utf8.h"

#include "lib/core/printable.h"
#include "tests/unit/catch.h"

namespace vmferry::test {

TEST_CASE("UTF-8 is told from bytes that are none") {
  CHECK(utf8_at("aé", 1).code == 0xe9);
  CHECK(utf8_at("aé", 1).length == 2);
  CHECK(utf8_at("\xf4\x8f\xbf\xbf", 0).code == 0x10ffff);
  // Within a character; not complete; longer than needed; half of a pair; beyond Unicode.
  for (const char* bad : {"\xa9", "\xc3", "\xf0\x9f\x98", "\xc0\x80", "\xe0\x80\x80",
                          "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    CAPTURE(bad);
    CHECK_FALSE(utf8_at(bad, 0).is_valid());
    CHECK(utf8_at(bad, 0).length == 1);
  }
}

TEST_CASE("text is counted and cut between characters") {
  CHECK(utf8_count("aé€😀\xff.") == 6);
  CHECK(utf8_length("aé€😀", 3) == 6);
  CHECK(utf8_length("aé", 9) == 3);
  const std::string_view whole = "aé€😀";
  CHECK(utf8_cut(whole, 10) == whole);
  CHECK(utf8_cut(whole, 9) == "aé€");
  CHECK(utf8_cut(whole, 5) == "aé");
  CHECK(utf8_cut(whole, 0).empty());
  CHECK(utf8_cut("\xff\xff\xff", 2) == "\xff\xff");
}

TEST_CASE("UTF-16 becomes UTF-8") {
  const std::vector<uint16_t> whole = {'a', 0xe9, 0x20ac, 0xd83d, 0xde00};
  CHECK(utf8_of(whole) == "aé€😀");
  const std::vector<uint16_t> halves = {0xd83d, 'a', 0xde00, 0xd83d, 0xd83d, 0xde00, 0xd83d};
  CHECK(utf8_of(halves) == "?a??😀?");
}

TEST_CASE("what is printed has neither control characters nor other bytes than UTF-8") {
  CHECK(printable("a é\n\x1b[1m\x7f") == "a é??[1m?");
  CHECK(printable("\xc2\x9b"
                  "1m \xff \xc3") == "??1m ? ?");
}

}  // namespace vmferry::test
