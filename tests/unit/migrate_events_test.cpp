// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <chrono>
#include <future>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"

// What happens to a migration from outside: stops, hanging calls, guests that stop and start,
// people who make what it wants to make.

namespace vmferry::test {
namespace {

using namespace std::chrono_literals;
using Problems = std::vector<std::string>;

/// An end of a run, or of its recovery, whichever it is, must be whole and be what was said.
void check_end(Rig& rig, Outcome outcome) {
  INFO("says: " << outcome.message << " hint: " << outcome.hint);
  CHECK(rig.problems_always() == Problems());
  if (outcome.done() && !outcome.report.disks.empty()) {
    CHECK(rig.problems_if_moved() == Problems());
  } else if (outcome.done() || (!outcome.killed && !outcome.names_recovery())) {
    CHECK(rig.problems_if_untouched() == Problems());
  } else {
    CHECK((rig.has_journal() || outcome.killed));
  }
}

/// As check_end, and then recovers, with a guest that was started again if nothing else helps.
void check_and_recover(Rig& rig, Outcome outcome, Recovery recovery = Recovery::kAuto) {
  check_end(rig, outcome);
  if (!rig.has_journal()) {
    return;
  }
  rig.world().hook = nullptr;
  Outcome recovered = rig.recover(recovery);
  if (!recovered.done() && rig.has_journal() && recovery != Recovery::kAuto) {
    recovered = rig.recover(Recovery::kAuto);
  }
  if (!recovered.done() && rig.has_journal() && !rig.guest_runs()) {
    rig.power_on();
    recovered = rig.recover(Recovery::kAuto);
  }
  if (recovered.error == ErrorKind::kConflict &&
      recovered.hint.find("undefine the other one") != std::string::npos) {
    rig.undefine_where_it_did_not_run();
    recovered = rig.recover(Recovery::kAuto);
  }
  INFO("recovered: " << recovered.message << " hint: " << recovered.hint);
  CHECK_FALSE(rig.has_journal());
  check_end(rig, recovered);
}

/// Runs with `event` before the n-th call. Answers whether the run had so many.
bool with_event(const WayUnderTest& way, unsigned n, std::stop_token stop,
                const std::function<void(Rig&)>& event, std::string* said = nullptr) {
  Rig rig(way);
  const Plan& plan = rig.plan_of_way();
  rig.world().arm(0, Fault::kNone);
  bool came = false;
  rig.world().hook = [&](unsigned call, const std::string&) {
    if (call == n) {
      came = true;
      event(rig);
    }
  };
  const Outcome outcome = rig.run(plan, std::move(stop));
  rig.world().hook = nullptr;
  INFO(way.name << ", before call " << n);
  check_and_recover(rig, outcome);
  if (said) {
    *said = rig.said();
  }
  return came;
}

/// What a way makes for its second disk, when the first is done.
std::vector<std::string> made_by(const WayUnderTest& way) {
  const MovingDisk& disk = Rig(way).plan_of_way().disks.back();
  const bool to_files = way.name.starts_with("back to files");
  const std::string goal = to_files ? disk.image.path : disk.volume.display();
  if (disk.overlay.empty()) {
    return {goal};
  }
  return {goal, disk.overlay, disk.bridge};
}

}  // namespace

TEST_CASE("a stop at any moment undoes all, or lets it finish", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      bool more = true;
      for (unsigned n = first_own_call(way); more; ++n) {
        std::stop_source stop;
        // What undoes it then is not stopped, too.
        std::string said;
        const auto ask_to_stop = [&](Rig&) { stop.request_stop(); };
        more = with_event(way, n, stop.get_token(), ask_to_stop, &said);
        CHECK(said.find("not everything could be undone") == std::string::npos);
      }
    }
  }
}

TEST_CASE("memory that runs out at any moment is a failure like others", "[faults][sweep]") {
  for (const char* name : {"offline here, running before", "staged, then to another host"}) {
    const auto run_out = [](Rig&) { throw std::bad_alloc(); };
    unsigned n = 1;
    while (with_event(way_named(name), n, {}, run_out)) {
      ++n;
    }
    CHECK(n > 5);
  }
}

TEST_CASE("a guest that stops at any moment, and is started or not, loses nothing",
          "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      bool more = true;
      for (unsigned n = first_own_call(way); more; n += 2) {
        more = with_event(way, n, {}, [](Rig& rig) { rig.power_off(); });
      }
      more = true;
      for (unsigned n = first_own_call(way) + 1; more; n += 2) {
        more = with_event(way, n, {}, [](Rig& rig) {
          const bool ran = rig.guest_runs();
          rig.power_off();
          if (ran) {
            rig.power_on();
          }
        });
      }
    }
  }
}

TEST_CASE("a guest that stops after a death of the driver loses nothing", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      // Six endings are possible. A moment has two of them, the next one the next two.
      constexpr Recovery kRecoveries[] = {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish};
      unsigned ending = 0;
      for (const unsigned n : moments_of(way)) {
        for (const bool again : {false, true}) {
          const Recovery recovery = kRecoveries[ending++ / 2 % 3];
          Rig rig(way);
          rig.world().arm(n, Fault::kKillBefore);
          const Outcome outcome = rig.run(rig.plan_of_way());
          rig.world().arm(0, Fault::kNone);
          rig.power_off();
          if (again) {
            rig.power_on();
          }
          for (int i = 0; i < 5; ++i) {
            rig.world().tick();
          }
          INFO(way.name << ", killed before call " << n << ", guest "
                        << (again ? "restarted" : "stopped") << ", recovery "
                        << static_cast<int>(recovery));
          check_and_recover(rig, outcome, recovery);
        }
      }
    }
  }
}

TEST_CASE("a recovery that dies is recovered from, though the guest went on", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      bool struck = true;
      // Every seventh call, and every fifth of the recovery.
      for (unsigned n = first_own_call(way) + 1; struck; n += 7) {
        bool struck_again = true;
        for (unsigned m = 1; struck_again; m += 5) {
          Rig rig(way);
          const Plan& plan = rig.plan_of_way();
          rig.world().arm(n, Fault::kKillAfter);
          rig.run(plan);
          struck = rig.world().struck();
          if (!rig.has_journal()) {
            break;
          }
          rig.world().arm(m, m % 2 == 0 ? Fault::kKillAfter : Fault::kFailBefore);
          const Outcome outcome = rig.recover(m % 4 < 2 ? Recovery::kUndo : Recovery::kFinish);
          struck_again = rig.world().struck();
          rig.world().arm(0, Fault::kNone);
          for (int i = 0; i < 5; ++i) {
            rig.world().tick();
          }
          INFO(way.name << ", killed after call " << n << ", and again at " << m);
          check_and_recover(rig, outcome, m % 3 == 0 ? Recovery::kFinish : Recovery::kAuto);
        }
      }
    }
  }
}

TEST_CASE("what somebody else made meanwhile is never removed", "[faults][sweep]") {
  for (const WayUnderTest& way : all_ways()) {
    DYNAMIC_SECTION(way.name) {
      for (const std::string& image : made_by(way)) {
        for (const unsigned n : moments_of(way)) {
          with_event(way, n, {}, [&](Rig& rig) {
            World& world = rig.world();
            if (world.images.contains(image)) {
              return;
            }
            world.images[image] = {.size = 512};
            world.foreign.insert(image);
            rig.others.insert(image);
          });
        }
      }
    }
  }
}

TEST_CASE("what is in the way of a copy is named, with what may be done about it", "[faults]") {
  const auto hint_of = [](const char* name, const std::string& image, const std::string& call) {
    Rig rig(way_named(name));
    rig.world().arm(0, Fault::kNone);
    rig.world().hook = [&](unsigned, const std::string& what) {
      if (what != call || rig.world().images.contains(image)) {
        return;
      }
      rig.world().images[image] = {.size = 512};
      rig.world().foreign.insert(image);
      rig.others.insert(image);
    };
    const Outcome outcome = rig.run(rig.plan_of_way());
    CHECK(outcome.error == ErrorKind::kConflict);
    CHECK(rig.problems_if_untouched() == Problems());
    return outcome.hint;
  };
  const std::string volume = "rbd:vms/web1-vda";
  for (const auto& [way, call] :
       {std::pair{"staged here", "copy_in"}, std::pair{"mirrored here", "create_volume"},
        std::pair{"offline here, running before", "copy_in"}}) {
    CHECK(hint_of(way, volume, call) ==
          "rbd:vms/web1-vda was made after the checks: remove it (rbd rm vms/web1-vda), or "
          "name another with --disk vda=rbd:POOL/IMAGE");
  }
  for (const auto& [way, call] : {std::pair{"back to files, live", "copy_out"},
                                  std::pair{"back to files, mirrored", "create_empty_file"}}) {
    CHECK(hint_of(way, "/back/web1-vda.raw", call) ==
          "/back/web1-vda.raw was made after the checks: move it away, or name another "
          "directory with --to-dir");
  }
}

TEST_CASE("of a guest that ran on both hosts nothing is removed", "[faults]") {
  for (const char* name : {"mirrored to another host", "offline to another host, running before"}) {
    unsigned seen = 0;
    const WayUnderTest& way = way_named(name);
    for (const unsigned n : moments_of(way)) {
      for (const Recovery recovery : {Recovery::kAuto, Recovery::kUndo, Recovery::kFinish}) {
        Rig rig(way);
        rig.world().arm(n, Fault::kKillBefore);
        rig.run(rig.plan_of_way());
        rig.world().arm(0, Fault::kNone);
        // It ran there; then somebody starts it here.
        if (rig.world().guests.at(kGuestUuid).ran_on != "beta") {
          continue;
        }
        if (!rig.alpha().domains.contains(kGuestName)) {
          continue;
        }
        ++seen;
        rig.power_off();
        rig.world().launch(rig.alpha(), rig.guest(), false);
        INFO(name << ", killed before call " << n << ", recovery " << static_cast<int>(recovery));
        const Outcome outcome = rig.recover(recovery);
        INFO("says: " << outcome.message << " hint: " << outcome.hint);
        CHECK(outcome.error == ErrorKind::kConflict);
        CHECK(rig.has_journal());
        // Once the old definition is being taken away, undoing is refused for that alone.
        const bool too_late = recovery == Recovery::kUndo &&
                              outcome.hint.find("vmferry migrate --recover") != std::string::npos;
        CHECK(
            (too_late || (outcome.hint + outcome.message).find("both hosts") != std::string::npos));
        CHECK(rig.world().wrongs == Problems());
        CHECK(rig.guest().state == DomainState::kRunning);
        CHECK(rig.beta().domains.contains(kGuestName));
        for (const char* image : {"/img/web1.img", "rbd:vms/web1-vda", "rbd:vms/web1-vdb"}) {
          CHECK(rig.world().images.contains(image));
        }
      }
    }
    CHECK(seen > 3);
  }
}

TEST_CASE("a call that hangs with the cluster is given up when asked to", "[faults]") {
  for (const WayUnderTest& way : all_ways()) {
    for (const bool deaf : {false, true}) {
      const std::vector<std::string> calls = calls_of(way);
      for (unsigned n = 1; n <= calls.size(); ++n) {
        const std::string& what = calls[n - 1];
        const bool may_hang = what.ends_with("pivot") || what.ends_with("migrate") ||
                              what == "copy_in" || what == "copy_out";
        if (!may_hang) {
          continue;
        }
        Rig rig(way);
        rig.world().deaf = deaf;
        rig.patience.watch = 1ms;
        const Plan& plan = rig.plan_of_way();
        std::stop_source stop;
        // Who looks in on a call that hangs makes calls, too.
        const auto nth = std::count(calls.begin(), calls.begin() + n, what);
        rig.world().arm(static_cast<unsigned>(nth), Fault::kHang, what);
        std::future<Outcome> running =
            std::async(std::launch::async, [&] { return rig.run(plan, stop.get_token()); });
        while (!rig.world().struck() && running.wait_for(1ms) == std::future_status::timeout) {
        }
        CHECK(rig.world().struck());
        stop.request_stop();
        INFO(way.name << ": " << what << " hangs" << (deaf ? ", deaf" : ""));
        const bool ended = running.wait_for(20s) == std::future_status::ready;
        CHECK(ended);
        rig.world().release();
        const Outcome outcome = running.get();
        while (!rig.world().idle()) {
          std::this_thread::sleep_for(1ms);  // what hung goes on
        }
        rig.world().arm(0, Fault::kNone);
        CHECK(outcome.error == ErrorKind::kCancelled);
        check_and_recover(rig, outcome);
      }
    }
  }
}

TEST_CASE("a call that hangs and goes on changes nothing", "[faults]") {
  const WayUnderTest& way = way_named("staged, then to another host");
  bool struck = true;
  for (unsigned n = 1; struck; n += 4) {
    Rig rig(way);
    rig.patience.watch = 1ms;
    const Plan& plan = rig.plan_of_way();
    rig.world().arm(n, Fault::kHang);
    std::future<Outcome> running = std::async(std::launch::async, [&] { return rig.run(plan); });
    while (running.wait_for(2ms) == std::future_status::timeout) {
      rig.world().release();
    }
    const Outcome outcome = running.get();
    struck = rig.world().struck();
    INFO("call " << n);
    CHECK(outcome.done());
    CHECK(rig.problems_if_moved() == Problems());
  }
}

}  // namespace vmferry::test
