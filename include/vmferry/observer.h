// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/copy.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// Told how long work goes. The calls come from the thread that does the work, one after the other,
/// and should wait for nobody.
class Observer {
 public:
  virtual ~Observer() = default;
  /// A phase begins ("copy", "verify"); one ends before the next begins. Workers change `counters`
  /// until phase_ended(). `sources` is what is read: measure() sums it up. Empty: `counters` have a
  /// total as soon as it is known.
  virtual void phase_began(const std::string& phase, const Progress& counters,
                           const std::vector<const Source*>& sources) = 0;
  virtual void phase_ended() = 0;
};

/// Tells an observer of a phase for as long as this lives. Null: nobody is told.
class ObservedPhase {
 public:
  ObservedPhase(Observer* observer, const std::string& phase, const Progress& counters,
                const std::vector<const Source*>& sources)
      : observer_(observer) {
    if (observer_ != nullptr) {
      observer_->phase_began(phase, counters, sources);
    }
  }
  ObservedPhase(const ObservedPhase&) = delete;
  ObservedPhase& operator=(const ObservedPhase&) = delete;
  ~ObservedPhase() {
    if (observer_ != nullptr) {
      observer_->phase_ended();
    }
  }

 private:
  Observer* observer_;
};

}  // namespace VMFERRY_API vmferry
