// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "lib/migrate/facts.h"
#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// The answers to checks, as they are made.
class CheckList {
 public:
  void pass(std::string name, std::string message) {
    checks_.push_back({std::move(name), Check::Result::kPassed, std::move(message), {}});
  }
  void warn(std::string name, std::string message, std::string hint = {}) {
    checks_.push_back(
        {std::move(name), Check::Result::kWarning, std::move(message), std::move(hint)});
  }
  void fail(std::string name, std::string message, std::string hint = {}) {
    checks_.push_back(
        {std::move(name), Check::Result::kFailed, std::move(message), std::move(hint)});
  }
  void add(Check check) { checks_.push_back(std::move(check)); }
  std::vector<Check> take() { return std::move(checks_); }

 private:
  std::vector<Check> checks_;
};

/// Of the cluster, its pools, the bases and the secrets (checks_cluster.cpp).
void check_cluster(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                   CheckList& checks);
/// Of what a machine needs of the host it goes to, and what keeps it from leaving its own
/// (checks_leaving.cpp).
void check_leaving(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                   CheckList& checks);
/// Of snapshots: those that libvirt knows of, and what images hold (checks_snapshots.cpp).
void check_snapshots(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                     CheckList& checks);
/// Of the overlays of the staged way, and the room that they have (checks_overlays.cpp).
void check_overlays(const MigrateRequest& request, const Facts& facts, CheckList& checks);
/// Of the files that disks become (checks_files.cpp).
void check_files(const MigrateRequest& request, const Facts& facts, CopyMethod method,
                 CheckList& checks);
/// What those files take together, at most: they all go to one directory.
uint64_t bytes_of_files(const Facts& facts, CopyMethod method);

}  // namespace vmferry::migrate
