// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// libvirt's secrets as people have them: private, without a value, of something else, or none at
// all.

namespace vmferry::test {
namespace {

const WayUnderTest& staged_here() { return all_ways().front(); }

/// The check of the secret on alpha.
Check check_of(Rig& rig) {
  for (const Check& check : rig.plan().checks) {
    if (check.name == "secret on alpha") {
      return check;
    }
  }
  FAIL("there is no such check");
  return {};
}

void moves_with_the_right_key(Rig& rig) {
  const Plan plan = rig.plan();
  REQUIRE(plan.possible());
  CHECK(rig.run(plan).done());
  CHECK(rig.problems_if_moved() == std::vector<std::string>());
  CHECK(rig.alpha().secrets.at(kSecretUuid) == kSecretKey);
}

}  // namespace

TEST_CASE("a secret that is for something else is never touched", "[migrate]") {
  for (const bool define : {false, true}) {
    Rig rig(staged_here());
    rig.alpha().odd_secrets[kSecretUuid] = {.other_use = "volume /srv/luks.img"};
    rig.request.define_secret = define;
    const Check check = check_of(rig);
    CHECK(check.result == Check::Result::kFailed);
    CHECK(check.message.find("volume /srv/luks.img") != std::string::npos);
    CHECK(check.hint.find("--define-secret") == std::string::npos);
    CHECK(!rig.plan().possible());
  }
}

TEST_CASE("a private secret is told as such, and set if asked for", "[migrate]") {
  Rig rig(staged_here());
  rig.alpha().odd_secrets[kSecretUuid] = {.is_private = true};
  CHECK(check_of(rig).result == Check::Result::kWarning);
  CHECK(check_of(rig).message.find("private") != std::string::npos);
  rig.request.define_secret = true;
  CHECK(check_of(rig).result == Check::Result::kPassed);
  moves_with_the_right_key(rig);
}

TEST_CASE("a secret without a value is not there yet", "[migrate]") {
  Rig rig(staged_here());
  rig.alpha().odd_secrets[kSecretUuid] = {};
  CHECK(check_of(rig).result == Check::Result::kFailed);
  CHECK(check_of(rig).message.find("no value") != std::string::npos);
  rig.request.define_secret = true;
  moves_with_the_right_key(rig);
}

TEST_CASE("a libvirt without secrets is told, whatever shall be done", "[migrate]") {
  for (const bool define : {false, true}) {
    Rig rig(staged_here());
    rig.alpha().secret_driver = false;
    rig.request.define_secret = define;
    CHECK(check_of(rig).result == Check::Result::kFailed);
    CHECK(check_of(rig).hint.find("libvirt-daemon-driver-secret") != std::string::npos);
  }
}

TEST_CASE("a secret is not promised without a key for it", "[migrate]") {
  Rig rig(staged_here());
  rig.alpha().secrets.clear();
  rig.request.define_secret = true;
  rig.world().arm(1, Fault::kFailBefore, "user_key");
  const Check check = check_of(rig);
  CHECK(check.result == Check::Result::kFailed);
  CHECK(check.hint.find("--keyring") != std::string::npos);
}

}  // namespace vmferry::test
