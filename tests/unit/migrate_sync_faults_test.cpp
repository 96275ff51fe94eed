// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/catch.h"
#include "tests/unit/migrate_warm.h"

// Every failure at every call that the runs of a warm move make.

namespace vmferry::test {
namespace {

/// Answers whether there was something to recover from.
bool strike_warm(const WarmCase& warm, unsigned n, Fault fault, Recovery recovery) {
  Rig rig(warm.way);
  const Plan plan = prepared(rig, warm.kind);
  rig.world().arm(n, fault);
  const Outcome outcome = rig.run(plan);
  const std::string where = rig.world().where();
  rig.world().arm(0, Fault::kNone);
  INFO(text_of(warm) << ", call " << n << " (" << where << "), fault " << static_cast<int>(fault)
                     << ", recovery " << static_cast<int>(recovery));
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(rig.problems_always() == Problems());
  const bool pending = rig.has_journal();
  if (!outcome.done() && !outcome.killed) {
    CHECK(pending == outcome.names_recovery());
  }
  if (pending) {
    Outcome end = rig.recover(recovery);
    if (recovery == Recovery::kUndo && end.error == ErrorKind::kConflict) {
      end = rig.recover(Recovery::kAuto);
    }
    INFO("recovery says: " << end.message << " hint: " << end.hint);
    CHECK(end.done());
    check_whole(rig);
  } else {
    check_whole(rig);
  }
  return pending;
}

std::vector<std::string> calls_of_run(const WarmCase& warm) {
  Rig rig(warm.way);
  const Plan plan = prepared(rig, warm.kind);
  rig.world().arm(0, Fault::kNone);
  run_well(rig, plan);
  return rig.world().log();
}

void sweep_warm(Fault fault, const std::vector<Recovery>& recoveries) {
  for (const WarmCase& warm : warm_cases()) {
    const std::vector<std::string> calls = calls_of_run(warm);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      if (!changes_something(calls[n - 1])) {
        continue;
      }
      for (const Recovery recovery : recoveries) {
        if (!strike_warm(warm, n, fault, recovery)) {
          break;
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("a failure in a warm move leaves all as it was, or is recovered from",
          "[faults][sweep][sync]") {
  sweep_warm(Fault::kFailBefore, {Recovery::kAuto});
  sweep_warm(Fault::kFailAfter, {Recovery::kAuto});
}

TEST_CASE("a death in a warm move is recovered from", "[faults][sweep][sync]") {
  sweep_warm(Fault::kKillAfter, {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish});
  sweep_warm(Fault::kKillBefore, {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish});
}

TEST_CASE("what libvirt goes on with after a death in a warm move is waited for",
          "[faults][sweep][sync]") {
  for (const WarmCase& warm : warm_cases()) {
    const std::vector<std::string> calls = calls_of_run(warm);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      const std::string& call = calls[n - 1];
      if (call.ends_with(": snapshot") || call.ends_with("commit_layer") ||
          call.ends_with("commit_active") || call.ends_with("pivot")) {
        strike_warm(warm, n, Fault::kKillLate, Recovery::kAuto);
      }
    }
  }
}

TEST_CASE("a stop at any moment of a warm move leaves it whole", "[faults][sweep][sync]") {
  for (const WarmCase& warm : warm_cases()) {
    const size_t calls = calls_of_run(warm).size();
    for (unsigned n = 1; n <= calls; n += 3) {
      Rig rig(warm.way);
      const Plan plan = prepared(rig, warm.kind);
      std::stop_source stop;
      rig.world().arm(0, Fault::kNone);
      rig.world().hook = [&](unsigned call, const std::string&) {
        if (call == n) {
          stop.request_stop();
        }
      };
      const Outcome outcome = rig.run(plan, stop.get_token());
      rig.world().hook = {};
      INFO(text_of(warm) << ", call " << n << ": " << outcome.message);
      CHECK(rig.has_journal() == outcome.names_recovery());
      if (rig.has_journal()) {
        CHECK(rig.recover(Recovery::kAuto).done());
      }
      check_whole(rig);
    }
  }
}

TEST_CASE("a guest that stops in a warm move loses nothing", "[faults][sweep][sync]") {
  for (const WarmCase& warm : warm_cases()) {
    const size_t calls = calls_of_run(warm).size();
    for (unsigned n = 1; n <= calls; n += 2) {
      Rig rig(warm.way);
      const Plan plan = prepared(rig, warm.kind);
      rig.world().arm(0, Fault::kNone);
      rig.world().hook = [&](unsigned call, const std::string&) {
        if (call == n) {
          rig.power_off();
        }
      };
      const Outcome outcome = rig.run(plan);
      rig.world().hook = {};
      INFO(text_of(warm) << ", call " << n << ": " << outcome.message);
      CHECK(rig.has_journal() == outcome.names_recovery());
      if (rig.has_journal() && !rig.recover(Recovery::kAuto).done()) {
        CHECK(warm.kind == WarmRunKind::kAway);  // it leaves when it runs
        rig.power_on();
        CHECK(rig.recover(Recovery::kAuto).done());
      }
      rig.power_on();
      check_whole(rig);
    }
  }
}

TEST_CASE("a failure or death in the middle of an update is recovered from",
          "[faults][sweep][sync]") {
  for (const WarmCase& warm : warm_cases()) {
    const std::vector<std::string> calls = calls_of_run(warm);
    for (unsigned n = 1; n <= calls.size(); ++n) {
      if (calls[n - 1] != "update_in") {
        continue;
      }
      for (const Fault fault : {Fault::kFailMiddle, Fault::kKillMiddle}) {
        for (const Recovery recovery : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
          strike_warm(warm, n, fault, recovery);
        }
      }
    }
  }
}

}  // namespace vmferry::test
