// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer_history.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/null_sink.h"
#include "lib/core/printable.h"
#include "lib/core/rounding.h"
#include "lib/transfer/checkpoints.h"
#include "lib/transfer/copy_changes.h"
#include "lib/transfer/delta.h"
#include "lib/transfer/reading_back.h"
#include "lib/transfer/state_copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr const char* kNote = "vmferry.history";
constexpr uint64_t kImageSector = 512;  // an image may have states of whole ones only

/// Which states of which source: words that are the same as long as they are.
std::string stamp_of(const Source& source, const std::vector<size_t>& points) {
  const std::string stamp = source.stamp();
  return stamp.empty() ? stamp : fmt::format("{}, states {}", stamp, fmt::join(points, " "));
}

/// One call of transfer_history().
class HistoryTransfer {
 public:
  HistoryTransfer(const Source& source, const std::vector<size_t>& points, Target& target,
                  const TransferOptions& options, Observer* observer)
      : source_(source),
        history_(dynamic_cast<const History&>(source)),
        all_(history_.points()),
        points_(points),
        target_(target),
        sink_(target.sink()),
        options_(options),
        observer_(observer) {}

  HistoryResult run() {
    try {
      copy_all();
      verify_kept();
      tell_digest();
      stop_if_asked();
      check_source(source_, options_.source_in_use);
      target_.publish();
    } catch (const Error& error) {
      throw kept(error);
    }
    result_.virtual_bytes = source_.size();
    result_.zero_bytes = source_.size() - std::min(source_.size(), result_.written_bytes);
    return std::move(result_);
  }

 private:
  /// The last state is the disk as it is now.
  size_t last() const { return points_.size(); }
  size_t index_of(size_t state) const { return state < last() ? points_[state] : all_.size(); }

  /// Held open until the next one is asked for.
  const Source& open(size_t state) {
    if (state == last()) {
      return source_;
    }
    opened_ = history_.open_point(index_of(state));
    return *opened_;
  }

  std::unique_ptr<Changes> changes_to(size_t state) const {
    return history_.changes(index_of(state - 1), index_of(state));
  }

  std::string phase(const std::string& what, size_t state) const {
    return fmt::format("{} {}/{}", what, state + 1, last() + 1);
  }

  void stop_if_asked() const {
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
  }

  std::string stamp() const { return stamp_of(source_, points_); }

  void require_same_history() {
    is_kept_ = true;  // what earlier runs have done is not lost to an error of this one
    TargetNotes* notes = target_.notes();
    const auto found = notes != nullptr ? notes->read() : std::map<std::string, std::string>();
    const auto note = found.find(kNote);
    if (note != found.end() && !stamp().empty() && note->second == stamp() &&
        result_.points.size() <= last()) {
      return;
    }
    throw Error({.kind = ErrorKind::kConflict,
                 .object = sink_.name(),
                 .action = "go on with it",
                 .cause = "it holds other snapshots, or those of another image",
                 .hint = "without --resume it is replaced"});
  }

  void copy_all() {
    take_up();
    if (result_.points.empty()) {
      copy_first();
    } else {
      require_same_history();
      copy_onto_left_over(result_.points.size());
    }
    for (size_t state = result_.points.size(); state <= last(); ++state) {
      copy_changes(state, *changes_to(state));
      mark(state);
    }
  }

  void take_up() {
    std::vector<Point> states;
    states.reserve(last());
    for (const size_t point : points_) {
      states.push_back(all_[point]);
    }
    is_kept_ = target_.adopted();  // not lost because it cannot be gone on with
    for (const std::string& name : target_.marks(states)) {
      result_.points.push_back({states[result_.points.size()], name});
    }
    is_kept_ = false;
  }

  /// What was written since the last mark, by whomever, is written anew, beside what changes.
  void copy_onto_left_over(size_t state) {
    const uint64_t size = open(state).size();
    if (sink_.size() != size) {
      sink_.set_size(size);
    }
    const std::unique_ptr<Source> there = read_back(sink_);
    const auto* kept = dynamic_cast<const History*>(there.get());
    const std::unique_ptr<Changes> wanted = changes_to(state);
    if (kept == nullptr || kept->points().size() != state) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = sink_.name(),
                   .action = "go on with it",
                   .cause = "its snapshots changed meanwhile",
                   .hint = "without --resume it is replaced"});
    }
    const std::unique_ptr<Changes> written = kept->changes(state - 1, state);
    copy_changes(state, EitherChanges(*wanted, *written, size));
    mark(state);
  }

  void copy_first() {
    const Source& state = open(0);
    TransferOptions options = options_;
    options.phase = phase(options_.phase, 0);
    options.digest = nullptr;
    StateCopy copy(state, target_, options, observer_);
    try {
      static_cast<TransferResult&>(result_) = copy.run();
      is_first_verified_ = options_.verify != Verify::kNo;
      check_source(state, options_.source_in_use);
      mark(0);
    } catch (const Error& error) {
      throw is_kept_ ? error : copy.kept(error);
    }
  }

  /// Onto the state before, which the target holds.
  void copy_changes(size_t number, const Changes& changes) {
    const Source& state = open(number);
    const uint64_t size_before = sink_.size();
    if (size_before != state.size()) {
      sink_.set_size(state.size());
    }
    TransferOptions options = options_;
    options.phase = phase(options_.phase, number);
    const CopyResult copied =
        vmferry::copy_changes(state, changes, size_before, sink_, options, observer_);
    result_.read_bytes += copied.read_bytes;
    result_.written_bytes += copied.written_bytes;
    check_source(state, options_.source_in_use);
  }

  /// The disk as it is now has no mark.
  void mark(size_t state) {
    if (state == last()) {
      return;
    }
    if (state == 0) {
      write_note();
    }
    const Point& point = all_[points_[state]];
    result_.points.push_back({point, target_.mark(point)});
  }

  /// From here on another run can go on with it.
  void write_note() {
    const bool is_wanted = options_.keep_partial || options_.make_checkpoints;
    if (is_wanted && target_.notes() != nullptr && !stamp().empty()) {
      target_.notes()->write(kNote, stamp());
      is_kept_ = true;
    }
  }

  /// As the target's store keeps them.
  void verify_kept() {
    if (options_.verify == Verify::kNo) {
      return;
    }
    const std::unique_ptr<Source> written = read_back(sink_);
    const auto* kept = dynamic_cast<const History*>(written.get());
    if (kept == nullptr || kept->points().size() != last()) {
      is_wrong_ = true;
      throw Error({.kind = ErrorKind::kIo,
                   .object = sink_.name(),
                   .action = "verify",
                   .cause = "its snapshots are not those that were made",
                   .hint = "did somebody else change it meanwhile?"});
    }
    for (size_t state = is_first_verified_ ? 1 : 0; state <= last(); ++state) {
      verify_state(state, *written, *kept);
    }
    result_.verified = Verify::kReading;
  }

  void verify_state(size_t number, const Source& written, const History& kept) {
    const Source& state = open(number);
    const std::unique_ptr<Source> point =
        number < last() ? kept.open_point(number) : std::unique_ptr<Source>();
    const Source& there = point ? *point : written;
    if (number == 0 || options_.verify == Verify::kReading) {
      return compare_states(number, state, there);
    }
    const std::unique_ptr<Changes> here_changed = changes_to(number);
    const std::unique_ptr<Changes> there_changed = kept.changes(number - 1, number);
    const EitherChanges changed(*here_changed, *there_changed,
                                std::min(state.size(), there.size()));
    compare_states(number, DeltaSource(state, changed), DeltaSource(there, changed));
  }

  void compare_states(size_t number, const Source& state, const Source& there) {
    Progress counters;
    const ObservedPhase observed(observer_, phase("verify", number), counters, {&state, &there});
    const CompareResult result =
        compare(state, there,
                {.jobs = options_.jobs,
                 .ignore_trailing_zeros = there.size() == round_up(state.size(), kImageSector),
                 .stop = options_.stop},
                counters);
    if (result.same) {
      return;
    }
    is_wrong_ = true;
    check_source(state, options_.source_in_use);  // then that is why
    check_source(source_, options_.source_in_use);
    throw Error({.kind = ErrorKind::kIo,
                 .object = number < last()
                               ? sink_.name() + "@" + printable(result_.points[number].name)
                               : sink_.name(),
                 .action = "verify",
                 .offset = result.first_difference,
                 .cause = "reads back differently from the source",
                 .hint = "suspect the target's storage, or a source that changed during the copy"});
  }

  /// What differs from a state before tells no digest: it is read once more.
  void tell_digest() {
    if (options_.digest == nullptr) {
      return;
    }
    Progress counters;
    const ObservedPhase observed(observer_, "digest", counters, {&source_});
    NullSink nothing(source_.size());
    copy(source_, nothing,
         {.jobs = options_.jobs,
          .memory = options_.memory,
          .stop = options_.stop,
          .digest = options_.digest},
         counters);
  }

  /// What is the same for each run that goes on with it: see StateCopy::kept().
  Error kept(const Error& error) {
    if (!is_kept_ || is_wrong_) {
      return error;
    }
    if (error.kind() == ErrorKind::kConflict) {
      // A source that changed is another one: nobody can go on with its copy.
      if (target_.adopted()) {
        target_.keep();
      }
      return error;
    }
    return options_.keep_partial ? kept_in(target_, error) : error;
  }

  const Source& source_;
  const History& history_;
  const std::vector<Point> all_;
  const std::vector<size_t>& points_;
  Target& target_;
  Sink& sink_;
  const TransferOptions& options_;
  Observer* const observer_;
  HistoryResult result_;
  std::unique_ptr<Source> opened_;
  bool is_first_verified_ = false;
  bool is_kept_ = false;   ///< what is done can be gone on with
  bool is_wrong_ = false;  ///< what was written
};

}  // namespace

HistoryResult transfer_history(const Source& source, const std::vector<size_t>& points,
                               Target& target, const TransferOptions& options, Observer* observer) {
  return HistoryTransfer(source, points, target, options, observer).run();
}

bool can_resume_history(const Source& source, const std::vector<size_t>& points,
                        const Location& target, const NetworkOptions& network) {
  const std::string stamp = stamp_of(source, points);
  const auto notes = unfinished_notes(target, network);
  const auto note = notes.find(kNote);
  if (note != notes.end()) {
    return !stamp.empty() && note->second == stamp;
  }
  // The first state was under way.
  const auto first = dynamic_cast<const History&>(source).open_point(points.front());
  return !first->stamp().empty() && is_checkpoint_of(first->stamp(), notes);
}

}  // namespace vmferry
