// SPDX-License-Identifier: LGPL-2.1-or-later
// A worker of a fleet, whose jobs are run by a program that stands in for vmferry:
//   stub-worker POOL NAME HOST PROGRAM STATE_DIR LEASE SLOTS
// It ends when there is nothing more to do for that host, or with SIGTERM as the real one does.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stop_token>
#include <thread>

#include "vmferry/error.h"
#include "vmferry/fleet_state.h"

int main(int argc, char** argv) {
  if (argc != 8) {
    std::cerr << "stub-worker POOL NAME HOST PROGRAM STATE_DIR LEASE SLOTS\n";
    return 2;
  }
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::stop_source stop;
  std::thread([&ends, stop]() mutable {
    int got = 0;
    sigwait(&ends, &got);
    stop.request_stop();
  }).detach();

  vmferry::FleetWork work;
  work.pool = argv[1];
  work.name = argv[2];
  work.host = argv[3];
  work.program = std::filesystem::absolute(argv[4]).string();
  work.state_dir = std::filesystem::absolute(argv[5]).string();
  work.lease = std::chrono::seconds(std::atoi(argv[6]));
  work.slots = static_cast<unsigned>(std::atoi(argv[7]));
  work.once = true;
  work.stop = stop.get_token();
  work.say = [](const std::string& line) { std::cerr << line + "\n"; };
  try {
    vmferry::work_on_fleet(work);
  } catch (const vmferry::Error& error) {
    std::cerr << error.what() << "\n";
    _exit(1);
  }
  _exit(0);  // a call that the cluster never answered may have left a thread
}
