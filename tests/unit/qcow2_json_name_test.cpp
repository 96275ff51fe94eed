// SPDX-License-Identifier: LGPL-2.1-or-later
#include <string>

#include "lib/image/json_name.h"
#include "tests/unit/catch.h"

using namespace vmferry;

namespace {

// "file|format", or "!cause".
std::string parsed(const std::string& json) {
  const auto name = parse_json_name("json:" + json);
  REQUIRE(name);
  if (!name->cause.empty()) {
    return "!" + name->cause;
  }
  return name->file + "|" + name->format.value_or("");
}

}  // namespace

TEST_CASE("json: names of plain files") {
  CHECK(!parse_json_name("disk.raw"));
  CHECK(!parse_json_name("./json:{}"));
  CHECK(parsed(R"({"driver":"qcow2","file":{"driver":"file","filename":"/a b"}})") == "/a b|qcow2");
  CHECK(parsed(R"({"driver":"raw","file.driver":"host_device","file.filename":"/dev/x"})") ==
        "/dev/x|raw");
  CHECK(parsed(R"({"file":{"filename":"x"}})") == "x|");
  CHECK(parsed(R"({"driver":"file","filename":"x"})") == "x|raw");
  CHECK(parsed(R"({"filename":"x"})") == "x|");
  CHECK(
      parsed(
          R"({"driver":"raw","file":{"filename":"x","locking":"off","cache":{"direct":true}}})") ==
      "x|raw");
}

TEST_CASE("json: names that say anything else") {
  CHECK(parsed("") == "!it is not a JSON object");
  CHECK(parsed("[]") == "!it is not a JSON object");
  CHECK(parsed("{\"a\":") == "!it is not a JSON object");
  CHECK(parsed("{}") == "!it does not name a plain file");
  CHECK(parsed(R"({"driver":"dmg","file.filename":"x"})") == "!its driver 'dmg' is not known here");
  CHECK(parsed(R"({"driver":"nbd","filename":"x"})") == "!its driver 'nbd' is not known here");
  CHECK(parsed(R"({"driver":"raw","file":{"driver":"ssh","filename":"x"}})") ==
        "!its driver 'ssh' is not known here");
  CHECK(parsed(R"({"driver":"raw","size":"5","file.filename":"x"})") ==
        "!its option 'size' is not understood");
  CHECK(parsed(R"({"driver":"raw","size":5,"file.filename":"x"})") ==
        "!its option 'size' is not understood");
  CHECK(parsed(R"({"driver":"qcow2","backing":null,"file.filename":"x"})") ==
        "!its option 'backing' is not understood");
  CHECK(parsed(R"({"driver":"qcow2","backing":{"driver":"null-co"},"file.filename":"x"})") ==
        "!its option 'backing.driver' is not understood");
  CHECK(parsed(R"({"file.filename":"x","file":{"filename":"y"}})") ==
        "!it says 'file.filename' twice");
  CHECK(parsed(R"({"filename":"x","filename":"y"})") == "!it says one thing twice");
  CHECK(parsed(R"({"filename":""})") == "!its file name is empty or contains a NUL byte");
  CHECK(parsed("{\"filename\":\"a\\u0000b\"}") == "!its file name is empty or contains a NUL byte");
  CHECK(parsed(std::string(5000, '[')) == "!it is not a JSON object");
}
