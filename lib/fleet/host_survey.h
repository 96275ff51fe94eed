// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "vmferry/fleet.h"

namespace vmferry::fleet {

/// A guest that can move.
struct SurveyedGuest {
  FleetJob job;
  std::map<std::string, uint64_t> data;  ///< bytes to copy, by pool
  std::vector<std::string> warnings;     ///< of its checks
  bool staged = false;                   ///< its writes go to overlays meanwhile
  std::vector<std::string> overlays;     ///< those, as far as they are on this machine
  std::set<std::string> backing;         ///< paths of images below its disks
};

/// What one host answered.
struct HostSurvey {
  std::string uri;
  HostFacts facts;
  std::vector<SurveyedGuest> guests;
  std::vector<FleetRefusal> refused;
  std::vector<std::string> left_out;
  std::set<std::string> named;  ///< guests that were named and are there
  std::string trouble;          ///< why it was not asked to the end; empty: it was
};

/// Hosts that guests go to, each connected to once. Any thread.
class TargetHosts {
 public:
  explicit TargetHosts(const FleetContext& context) : context_(context) {}

  /// Throws Error, the same one each time.
  std::shared_ptr<Host> at(const std::string& uri);

 private:
  struct Known {
    std::shared_ptr<Host> host;
    std::exception_ptr failure;
  };
  const FleetContext& context_;
  std::mutex mutex_;
  std::map<std::string, Known> known_;
};

/// What is wanted of the guests of one host.
struct HostQuestion {
  std::string uri;
  const FleetRequest* request = nullptr;  ///< for a new plan
  const FleetPlan* plan = nullptr;        ///< to check one:
  std::vector<const FleetJob*> jobs;      ///< its jobs with that URI
};

/// Asks one host. Throws kCancelled; every other failure is in the answer.
HostSurvey survey_host(const HostQuestion& question, const FleetContext& context,
                       MigrationStorage& storage, TargetHosts& targets);

}  // namespace vmferry::fleet
