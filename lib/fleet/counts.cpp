// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/fleet/counts.h"

#include <utility>

namespace vmferry::fleet {
namespace {

/// True: there was none, or now there is none.
bool change_by(Count& count, unsigned wave, bool more) {
  if (more) {
    return ++count.left[wave] == 1;
  }
  const auto found = count.left.find(wave);
  if (found == count.left.end() || --found->second > 0) {
    return false;
  }
  count.left.erase(found);
  return true;
}

}  // namespace

std::vector<std::string> Counts::keys(const std::vector<std::string>& hosts) {
  std::vector<std::string> keys = {kCountKey};
  for (const std::string& host : hosts) {
    keys.push_back(kHostCounts + host);
  }
  return keys;
}

Counts::Counts(std::map<std::string, std::string> texts, const std::string& what)
    : texts_(std::move(texts)), what_(what) {
  if (const auto found = texts_.find(kCountKey); found != texts_.end()) {
    fleet_ = count_of(found->second, what_);
  }
}

Count& Counts::of(const std::string& host) {
  const auto [at, is_new] = hosts_.try_emplace(host);
  if (is_new) {
    if (const auto found = texts_.find(kHostCounts + host); found != texts_.end()) {
      at->second = count_of(found->second, what_);
    }
  }
  return at->second;
}

void Counts::add(const std::string& host, unsigned wave) {
  if (change_by(of(host), wave, true)) {
    change_by(fleet_, wave, true);
  }
}

void Counts::take(const std::string& host, unsigned wave) {
  if (change_by(of(host), wave, false)) {
    change_by(fleet_, wave, false);
  }
}

void Counts::put(ObjectChange& change, const std::string& key, const Count& count) const {
  const auto found = texts_.find(key);
  const std::string before = found == texts_.end() ? "" : found->second;
  const std::string now = text_of(count);
  if (now != before) {
    change.expect[key] = before;
    change.set[key] = now;
  }
}

void Counts::write(ObjectChange& change) const {
  put(change, kCountKey, fleet_);
  for (const auto& [host, count] : hosts_) {
    put(change, kHostCounts + host, count);
  }
}

}  // namespace vmferry::fleet
