// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/follow_snapshots.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "lib/core/printable.h"
#include "lib/migrate/sync_state.h"
#include "vmferry/error.h"

namespace vmferry::migrate {
namespace {

using Origin = CopiedSnapshot::Origin;

/// A snapshot, and what becomes of it.
struct FollowingSnapshot {
  CopiedSnapshot snapshot;  ///< with its name now
  std::string before;       ///< its name at first
  std::string wanted = {};  ///< empty: any
  std::string stays = {};   ///< why, though no state is left for it; empty: there is one, or it was
                            ///< never of one
};

/// A copy can have that name: others were written in another way (Target::mark). That of a sync is
/// not followed.
bool is_plain(const std::string& name) {
  constexpr size_t kLongestPlain = 200;
  return round_of(name) == 0 && name.size() <= kLongestPlain && printable(name) == name &&
         name.find_first_of("@/") == std::string::npos;
}

class Following {
 public:
  Following(const std::vector<Point>& states, size_t known, FollowingVolume& volume)
      : states_(states),
        known_(states.begin(), states.begin() + static_cast<std::ptrdiff_t>(known)),
        volume_(volume) {
    for (CopiedSnapshot& snapshot : volume.snapshots()) {
      if (round_of(snapshot.name) == 0) {
        const std::string name = snapshot.name;
        all_.push_back({.snapshot = std::move(snapshot), .before = name});
      }
    }
  }

  void run() {
    remove_those_without_state();
    try {
      for (FollowingSnapshot& one : all_) {
        rename_as_wanted(one);
      }
      for (size_t i = known_.size(); i < states_.size(); ++i) {
        free_name(states_[i].name);
      }
    } catch (const Error&) {
      tell_of_all();
      throw;
    }
    tell_of_all();
  }

 private:
  const Point* state_of(const CopiedSnapshot& snapshot) const {
    const auto found = std::find_if(known_.begin(), known_.end(), [&](const Point& state) {
      return snapshot.origin != Origin::kElsewhere && !state.id.empty() &&
             state.id == snapshot.state_id;
    });
    return found == known_.end() ? nullptr : &*found;
  }

  /// Of two of one state the later one counts: a run that died had made the other.
  bool is_repeated(size_t index) const {
    return std::any_of(all_.begin() + static_cast<std::ptrdiff_t>(index) + 1, all_.end(),
                       [&](const FollowingSnapshot& later) {
                         return later.snapshot.origin != Origin::kElsewhere &&
                                later.snapshot.state_id == all_[index].snapshot.state_id;
                       });
  }

  void remove_those_without_state() {
    std::vector<FollowingSnapshot> left;
    for (size_t i = 0; i < all_.size(); ++i) {
      FollowingSnapshot one = all_[i];
      const Point* state = is_repeated(i) ? nullptr : state_of(one.snapshot);
      if (state != nullptr) {
        one.wanted = is_plain(state->name) ? state->name : one.before;
      } else if (one.snapshot.origin != Origin::kElsewhere) {
        one.stays = why_it_stays(one.snapshot);
        if (one.stays.empty()) {
          volume_.tell(fmt::format("its snapshot {} is removed: the old volume has it no more",
                                   printable(one.before)));
          continue;
        }
      }
      left.push_back(std::move(one));
    }
    all_ = std::move(left);
  }

  std::string why_it_stays(const CopiedSnapshot& snapshot) {
    return snapshot.origin == Origin::kCopy
               ? volume_.remove(snapshot)
               : "it is not known whether a person made it; if nobody needs it, remove it";
  }

  /// Another one that has the name gets out of the way.
  void rename_as_wanted(FollowingSnapshot& one) {
    if (!one.wanted.empty() && one.snapshot.name != one.wanted) {
      free_name(one.wanted);
      give(one, one.wanted);
    }
  }

  void free_name(const std::string& name) {
    for (FollowingSnapshot& one : all_) {
      if (one.snapshot.name == name) {
        give(one, free_one_like(name));
      }
    }
  }

  std::string free_one_like(const std::string& name) const {
    std::set<std::string> taken;
    for (const FollowingSnapshot& one : all_) {
      taken.insert(one.snapshot.name);
    }
    for (const Point& state : states_) {
      taken.insert(state.name);
    }
    std::string free = name + "-old";
    for (size_t number = 2; taken.contains(free); ++number) {
      free = fmt::format("{}-old-{}", name, number);
    }
    return free;
  }

  void give(FollowingSnapshot& one, const std::string& name) {
    try {
      volume_.rename(one.snapshot.name, name);
      one.snapshot.name = name;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kConflict) {
        throw;
      }
      volume_.tell(fmt::format("warning: its snapshot {} keeps that name: {}",
                               printable(one.snapshot.name), error.what()));
    }
  }

  void tell_of_all() {
    for (const FollowingSnapshot& one : all_) {
      tell_of(one);
    }
  }

  void tell_of(const FollowingSnapshot& one) {
    const std::string name = printable(one.before);
    const bool renamed = one.snapshot.name != one.before;
    const std::string now =
        renamed ? fmt::format(", and is called {} now", printable(one.snapshot.name)) : "";
    if (!one.stays.empty()) {
      volume_.tell(fmt::format(
          "warning: its snapshot {} stays, which is none of the old volume any more{}: {}", name,
          now, one.stays));
    } else if (renamed && one.wanted.empty()) {
      volume_.tell(fmt::format(
          "warning: its snapshot {}, which this warm move did not make, is called {} now: the old "
          "volume has another one of that name",
          name, printable(one.snapshot.name)));
    } else if (renamed) {
      volume_.tell(fmt::format("its snapshot {} is called {} now, as that of the old volume is",
                               name, printable(one.snapshot.name)));
    }
  }

  const std::vector<Point>& states_;
  const std::vector<Point> known_;
  FollowingVolume& volume_;
  std::vector<FollowingSnapshot> all_;
};

}  // namespace

void follow_snapshots(const std::vector<Point>& states, size_t known, FollowingVolume& volume) {
  Following(states, known, volume).run();
}

}  // namespace vmferry::migrate
