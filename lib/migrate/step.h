// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "lib/migrate/run.h"

namespace vmferry::migrate {

/// When a run can no longer be undone but only finished: the point of no return.
enum class NoReturn {
  kNever,
  kOnceBegun,  ///< part of it may have happened
  kOnceDone,   ///< a failure leaves things as they were
};

/// What a step of a plan does, and how it is undone: first the guest goes back to what it had, then
/// what was made for it is removed. Each first looks at how things are and does only what is left
/// to do: running it twice, or after a kill in its middle, is right. So are the undoings; each
/// throws if it cannot leave things as they were before its step. One thread.
class StepWork : protected Notes {
 public:
  explicit StepWork(Run& run)
      : run_(run),
        plan_(run.plan_),
        context_(run.context_),
        journal_(run.journal_),
        fresh_(*run.places_.fresh),
        old_(*run.places_.old),
        source_(run.source_),
        target_(run.target_) {}
  StepWork(const StepWork&) = delete;
  StepWork& operator=(const StepWork&) = delete;
  virtual ~StepWork() = default;

  virtual void run() = 0;
  /// Of the guest and its definitions. Throws if it cannot be as it was before the step. One that
  /// changes nothing that lasts, or nothing that must go, has none.
  virtual void undo() {}
  /// Of what the step made, after all is undone. What cannot be removed goes into left_over().
  virtual void clean() {}
  /// Is undoing it nothing but removing what it made?
  virtual bool only_makes() const { return false; }
  /// A done step that a recovery need not look at again. What comes before a migration is past when
  /// the guest has gone.
  virtual bool settled() const { return is_live(plan_.method) && run_.arrived(); }

 protected:
  Run& run_;
  const Plan& plan_;
  const MigrateContext& context_;
  Journal& journal_;
  const NewPlace& fresh_;
  const OldPlace& old_;
  Machine& source_;
  Machine& target_;
};

/// A kind of step, by the name that journals have of it.
struct StepRow {
  const char* name;
  NoReturn no_return;
  std::unique_ptr<StepWork> (*make)(Run& run);
};

/// Null: there is no step of that name.
const StepRow* find_step(const std::string& name);
/// What a plan says of it; empty: kNever.
std::string in_words(NoReturn no_return);

}  // namespace vmferry::migrate
