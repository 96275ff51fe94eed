// SPDX-License-Identifier: LGPL-2.1-or-later
// Workers of a fleet, whose jobs are run by a program that stands in for vmferry:
//   stub-worker POOL NAME PROGRAM STATE_DIR LEASE SLOTS HOST...
// One for each host, in a thread of its own and with a directory STATE_DIR/HOST. It ends when there
// is nothing more to do for those hosts, or with SIGTERM as the real one does.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <stop_token>
#include <thread>
#include <vector>

#include "vmferry/error.h"
#include "vmferry/fleet_state.h"

namespace {

void work(const vmferry::FleetWork& terms) {
  try {
    vmferry::work_on_fleet(terms);
  } catch (const vmferry::Error& error) {
    std::cerr << std::string(error.what()) + "\n";
    _exit(1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) {
    std::cerr << "stub-worker POOL NAME PROGRAM STATE_DIR LEASE SLOTS HOST...\n";
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

  std::vector<std::jthread> workers;
  for (int i = 7; i < argc; ++i) {
    vmferry::FleetWork terms;
    terms.pool = argv[1];
    terms.name = argv[2];
    terms.host = argv[i];
    terms.program = std::filesystem::absolute(argv[3]).string();
    terms.state_dir = (std::filesystem::absolute(argv[4]) / argv[i]).string();
    terms.lease = std::chrono::seconds(std::atoi(argv[5]));
    terms.slots = static_cast<unsigned>(std::atoi(argv[6]));
    terms.once = true;
    terms.stop = stop.get_token();
    terms.say = [](const std::string& line) { std::cerr << line + "\n"; };
    workers.emplace_back(work, terms);
  }
  workers.clear();
  _exit(0);  // a call that the cluster never answered may have left a thread
}
