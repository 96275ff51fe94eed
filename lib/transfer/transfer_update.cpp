// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer_update.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "lib/transfer/copy_changes.h"
#include "lib/transfer/delta.h"
#include "lib/transfer/reading_back.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

void require_size(const Sink& sink, uint64_t size) {
  if (sink.size() != size) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = sink.name(),
                 .action = "bring it up to date",
                 .cause = "it has another size than the disk now",
                 .hint = "was one of them resized? Give the warm move up, and begin it anew"});
  }
}

/// What it kept as `mark`, by its number.
size_t find_mark(const Source& target, const std::string& name, const std::string& mark) {
  const auto* kept = dynamic_cast<const History*>(&target);
  const std::vector<Point> points = kept != nullptr ? kept->points() : std::vector<Point>();
  const auto found = std::find_if(points.begin(), points.end(),
                                  [&](const Point& point) { return point.name == mark; });
  if (found == points.end()) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = name,
                 .action = "bring it up to date",
                 .cause = "it has no snapshot " + mark});
  }
  return static_cast<size_t>(found - points.begin());
}

/// Where the target was written to since, by us or others.
std::unique_ptr<Changes> changes_since(const Source& target, const std::string& name,
                                       const std::string& mark) {
  const size_t at = find_mark(target, name, mark);
  const auto& kept = dynamic_cast<const History&>(target);
  return kept.changes(at, kept.points().size());
}

uint64_t bytes_of(const Changes& changes, uint64_t size) {
  uint64_t sum = 0;
  for (uint64_t at = 0; at < size;) {
    const Changes::Run run = changes.run_at(at, size - at);
    sum += run.may_differ ? run.length : 0;
    at += run.length;
  }
  return sum;
}

CompareResult compare_changes(const Source& source, const Source& there, const Changes& changes,
                              const TransferOptions& options, Observer* observer) {
  const DeltaSource wanted(source, changes);
  const DeltaSource found(there, changes);
  Progress counters;
  const ObservedPhase observed(observer, "verify", counters, {&wanted, &found});
  return compare(wanted, found, {.jobs = options.jobs, .stop = options.stop}, counters);
}

void require_same(const Source& source, const Source& there, const Changes& changes,
                  const std::string& name, const TransferOptions& options, Observer* observer) {
  const CompareResult result = compare_changes(source, there, changes, options, observer);
  if (!result.same) {
    check_source(source, options.source_in_use);  // then that is why
    throw Error({.kind = ErrorKind::kIo,
                 .object = name,
                 .action = "verify",
                 .offset = result.first_difference,
                 .cause = "reads back differently from what was written since the last time",
                 .hint = "suspect the cluster's storage, or somebody who writes to the volume"});
  }
}

}  // namespace

uint64_t transfer_update(const Source& source, const Changes& changes, const std::string& mark,
                         Target& target, const TransferOptions& options, Observer* observer) {
  Sink& sink = target.sink();
  const uint64_t size = source.size();
  require_size(sink, size);
  find_mark(*read_back(sink), sink.name(), mark);  // before anything is written
  copy_changes(source, changes, size, sink, options, observer);
  uint64_t changed = bytes_of(changes, size);
  // To ask where it was written to costs a question for each of its objects: so it is done once.
  const std::unique_ptr<Source> there = read_back(sink);
  const std::unique_ptr<Changes> written = changes_since(*there, sink.name(), mark);
  // A new object counts as written from its first byte on.
  const BlockChanges copied(changes, size, block_of_changes(sink));
  const OtherChanges others(*written, copied);
  std::unique_ptr<Source> anew;
  if (!compare_changes(source, *there, others, options, nullptr).same) {
    changed += bytes_of(others, size);
    copy_changes(source, others, size, sink, options, observer);
    anew = read_back(sink);  // what is open may not see what was written since
  }
  if (options.verify != Verify::kNo) {
    const EitherChanges either(changes, *written, size);
    require_same(source, anew ? *anew : *there, either, sink.name(), options, observer);
  }
  check_source(source, options.source_in_use);
  return changed;
}

}  // namespace vmferry
