// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "vmferry/ceph.h"

namespace vmferry {

/// One operation on a shared object, which is done as a whole or not at all.
struct ObjectChange {
  bool create = false;  ///< there must be no such object
  bool clear = false;   ///< all keys go, before `set`
  std::string data;     ///< its new bytes; empty: they stay
  /// What these keys hold now; an empty value: the key is not there.
  std::map<std::string, std::string> expect;
  std::map<std::string, std::string> set;  ///< no value is empty
  std::vector<std::string> remove;
  std::string lease;  ///< has to be held through this very SharedObject; empty: none
  /// A lease that nobody holds any more: what is left of it goes. Empty: none.
  std::string ended_lease;
};

enum class Changed {
  kDone,
  kOtherwise,  ///< a key holds something else, the object is there, or ended_lease is held
  kLeaseLost,
};

struct KeyRange {
  std::map<std::string, std::string> keys;  ///< in order
  bool more = false;                        ///< there are further ones after the last
};

/// How a process is called among the services of a cluster.
struct ServiceName {
  std::string service;
  std::string process;  ///< no two of a service have the same
};

/// An object with keys and values that processes on many hosts change. One thread. All throw Error:
/// kNotFound where there is no such object; any other may mean that a change was done all the same,
/// or will be, and that only its answer was lost.
class SharedObject {
 public:
  virtual ~SharedObject() = default;

  virtual Changed change(const ObjectChange& change) = 0;
  /// Of these keys, those that are there.
  virtual std::map<std::string, std::string> get(const std::vector<std::string>& keys) = 0;
  /// Up to `most` keys that begin with `prefix` and come after `after` (empty: from the first on).
  virtual KeyRange list(const std::string& prefix, const std::string& after, size_t most) = 0;
  virtual std::string data() = 0;
  virtual void remove() = 0;

  /// A lease ends by the clock of the store, unless it is renewed. False: another has it.
  virtual bool take_lease(const std::string& name, std::chrono::seconds duration) = 0;
  /// False: it is lost, even if nobody else took it.
  virtual bool renew_lease(const std::string& name, std::chrono::seconds duration) = 0;
  virtual void drop_lease(const std::string& name) = 0;
  /// Of these leases, those that anybody holds.
  virtual std::set<std::string> leased(const std::vector<std::string>& names) = 0;

  /// Shows this process among the services of the cluster (`ceph -s`), as long as it lives. Where
  /// that does not work nothing is said: nothing depends on it.
  virtual void announce(const ServiceName& service) = 0;

  /// Wakes all who wait on the object. Who is not reached finds out when it looks next.
  virtual void wake_all() = 0;
  /// Waits; true: it was woken, perhaps before.
  virtual bool wait(std::chrono::milliseconds time) = 0;
};

/// Where a shared object is.
struct SharedObjectPlace {
  std::string pool;
  std::string name_space;
  std::string name;
  std::string what;  ///< for messages: "fleet 'move1' in pool 'vms'"
};

/// Connects. No operation takes longer than `patience`. Nothing is made; whether there is such an
/// object shows with the first use.
std::unique_ptr<SharedObject> open_shared_object(const SharedObjectPlace& place,
                                                 const CephOptions& options,
                                                 std::chrono::seconds patience);

/// The pools that have an object of that name in that namespace. Pools that this user may not read,
/// or that do not answer, are left out.
std::vector<std::string> pools_with_object(const std::string& name_space, const std::string& name,
                                           const CephOptions& options);

}  // namespace vmferry
