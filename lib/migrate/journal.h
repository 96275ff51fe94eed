// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/core/unique_fd.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// The file name of a domain's things in a state directory: no domain name leads out of it.
std::string state_file_name(const std::string& domain);
/// Throws Error.
void make_state_directory(const std::string& dir);

/// Writes a file beside and renames it over `path`; durable when it returns. Throws Error.
void replace_file(const std::string& path, const std::string& text);

enum class StepStatus { kPending, kBegun, kDone, kUndone };

/// The command that ends the run of that kind which left a journal in `state_dir`, for a person to
/// copy. `option` is "--undo", "--finish", "--stay" or nothing.
std::string recover_command(RunKind kind, const std::string& domain, const std::string& state_dir,
                            const std::string& option = {});

/// Where the journal of a domain is.
std::string journal_path(const std::string& domain, const std::string& state_dir);

/// Does another process hold the flock(2) of that file? Makes none.
bool is_locked(const std::string& path);

/// Of a run that left its journal: what did not end, and how to end it.
Error unended_run(RunKind kind, const std::string& domain, const std::string& state_dir);

/// What a run has done so far, on disk: one file per domain in the state directory, replaced whole
/// and made durable at every change, so that a killed run can be finished or undone. It keeps the
/// definitions, in which there may be passwords: only its owner may read it. It also holds the lock
/// that keeps two runs off one domain. Notes and texts: any thread; the rest is one thread's.
class Journal {
 public:
  /// Begins a new one. Throws kConflict: a run works on the domain, or a killed one left a journal.
  static Journal begin(const Plan& plan, const std::string& state_dir);
  /// Opens what a killed run left. Throws kNotFound, or kConflict: that run still works.
  static Journal open(const std::string& domain, const std::string& state_dir);
  /// Only the plan, without the lock.
  static Plan read_plan(const std::string& domain, const std::string& state_dir);

  Journal(Journal&&) = default;
  Journal(const Journal&) = delete;

  const Plan& plan() const { return plan_; }
  /// For this recovery; the journal keeps what was asked first. Whether the move is to another host
  /// or to files does not change.
  void change_request(MigrateRequest request);
  /// The disk is not part of the move any more. Whoever goes through plan().disks begins anew.
  void drop(const std::string& dev);
  StepStatus status(size_t step) const { return status_[step]; }
  void set_status(size_t step, StepStatus status);
  /// The guest is about to go to overlays of that rung (MovingDisk::next_overlay).
  void begin_rung(unsigned rung);
  /// It is on them for good, or not at all: it did not get there. REQUIRES: begin_rung().
  void end_rung(bool is_on_them);
  /// That of the overlays: 1 at first.
  unsigned rung() const;
  /// What the overlay of the disk is called on a rung.
  std::string overlay(const MovingDisk& disk, unsigned rung) const;
  bool between_rungs() const { return recorded(kNextRung).has_value(); }
  /// Facts worth keeping, such as "made:vda".
  void note(const std::string& fact);
  void forget(const std::string& fact);
  bool noted(const std::string& fact) const;
  /// A longer text of that kind, under a name.
  void record(const std::string& name, const std::string& text);
  void unrecord(const std::string& name);
  /// Nothing: none was recorded.
  std::optional<std::string> recorded(const std::string& name) const;
  /// The run ended and left nothing to do.
  void remove();

  /// Keeps a text for the administrator beside the journal; answers its path.
  std::string keep(const std::string& name, const std::string& text);
  std::string kept_path(const std::string& name) const;
  /// What was kept under that name, as much of it as a definition can be long. Throws Error: it
  /// cannot be opened.
  std::string kept(const std::string& name) const;
  /// None there is no error. Throws Error.
  void remove_kept(const std::string& name);

 private:
  Journal() = default;
  void lock();
  void leave_out_gone();
  void name_overlays();
  void save() const;

  static inline const std::string kGone = "gone:";  ///< a note of a disk that was dropped
  static constexpr const char* kRung = "rung";      ///< texts
  static constexpr const char* kNextRung = "next-rung";

  Plan plan_;
  std::string plan_text_;  ///< as JSON; it never changes
  std::vector<StepStatus> status_;
  std::set<std::string> notes_;
  std::map<std::string, std::string> texts_;
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();  ///< of these two
  std::map<std::string, std::string> first_overlays_;                   ///< by dev
  std::string dir_;
  std::string path_;
  UniqueFd lock_;
};

}  // namespace vmferry::migrate
