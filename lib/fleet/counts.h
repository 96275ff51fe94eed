// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lib/fleet/values.h"
#include "lib/store/rbd/shared_object.h"

namespace vmferry::fleet {

/// How many jobs have not ended: of each host by wave, and of each wave the hosts that have some.
/// So the ends of jobs conflict only on one host, but for the last of a wave there. Any thread.
class Counts {
 public:
  /// The keys of the counts of these hosts, and of the fleet's.
  static std::vector<std::string> keys(const std::vector<std::string>& hosts);

  /// `texts` are the values of those keys; empty: of a new fleet. Throws Error (kCorrupt).
  Counts(std::map<std::string, std::string> texts, const std::string& what);

  /// One more that has not ended, or one less.
  void add(const std::string& host, unsigned wave);
  void take(const std::string& host, unsigned wave);
  /// The wave that jobs may begin of; 0: none is left.
  unsigned wave() const { return fleet_.wave(); }
  /// Makes `change` depend on what was read and write down what is different.
  void write(ObjectChange& change) const;

 private:
  Count& of(const std::string& host);
  void put(ObjectChange& change, const std::string& key, const Count& count) const;

  const std::map<std::string, std::string> texts_;
  const std::string what_;
  Count fleet_;
  std::map<std::string, Count> hosts_;  ///< those that were changed
};

}  // namespace vmferry::fleet
