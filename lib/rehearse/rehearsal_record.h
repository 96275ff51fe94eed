// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lib/core/unique_fd.h"
#include "vmferry/rehearse.h"

namespace vmferry::rehearsal {

/// A volume that a rehearsal makes, written down before it does.
struct RehearsalVolume {
  VolumeName volume;
  std::string identity;  ///< MigrationStorage::identity; empty: it has not got its name yet
};

/// All that a rehearsal makes.
struct RehearsalThings {
  std::string uri;   ///< libvirt, of the host of the copy
  std::string name;  ///< of the copy
  std::string uuid;
  CephOptions ceph;  ///< its cluster
  std::vector<RehearsalVolume> volumes;
};

/// Keeps two rehearsals off one guest. Takes its file away at the end.
class RehearsalLock {
 public:
  /// Throws Error; kConflict: a rehearsal of the domain is at work.
  RehearsalLock(std::string path, const std::string& domain);
  RehearsalLock(const RehearsalLock&) = delete;
  RehearsalLock& operator=(const RehearsalLock&) = delete;
  ~RehearsalLock();

 private:
  bool take(const std::string& domain);

  const std::string path_;
  UniqueFd fd_;
};

/// The file that says what a rehearsal of a guest has made, with the lock. Durable at every change.
/// One thread.
class RehearsalRecord {
 public:
  /// Throws Error: kConflict (a rehearsal is at work), kCorrupt (what an earlier one left cannot be
  /// understood).
  RehearsalRecord(const std::string& domain, const std::string& state_dir);
  RehearsalRecord(const RehearsalRecord&) = delete;
  RehearsalRecord& operator=(const RehearsalRecord&) = delete;

  /// What an earlier one left; nothing: none did.
  const std::optional<RehearsalThings>& left() const { return left_; }
  void write(const RehearsalThings& things) const;
  /// Nothing of all that is there any more.
  void remove() const;

 private:
  void read();

  const std::string path_;
  const RehearsalLock lock_;
  std::optional<RehearsalThings> left_;
};

}  // namespace vmferry::rehearsal
