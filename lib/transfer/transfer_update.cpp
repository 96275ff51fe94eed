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

/// Where the target was written to since.
std::unique_ptr<Changes> changes_since(const Source& target, const std::string& name,
                                       const std::string& mark) {
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
  return kept->changes(static_cast<size_t>(found - points.begin()), points.size());
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

void compare_there(const Source& source, const Source& written, const Changes& changes,
                   const std::string& name, const TransferOptions& options, Observer* observer) {
  const DeltaSource here(source, changes);
  const DeltaSource there(written, changes);
  Progress counters;
  const ObservedPhase observed(observer, "verify", counters, {&here, &there});
  const CompareResult result =
      compare(here, there, {.jobs = options.jobs, .stop = options.stop}, counters);
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

UpdateResult transfer_update(const Source& source, const Changes& changes, const std::string& mark,
                             Target& target, const TransferOptions& options, Observer* observer) {
  Sink& sink = target.sink();
  const uint64_t size = source.size();
  if (sink.size() != size) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = sink.name(),
                 .action = "bring it up to date",
                 .cause = "it has another size than the disk now",
                 .hint = "was one of them resized? Give the warm move up, and begin it anew"});
  }
  UpdateResult result;
  {
    const std::unique_ptr<Source> before = read_back(sink);
    const std::unique_ptr<Changes> written = changes_since(*before, sink.name(), mark);
    const EitherChanges either(changes, *written, size);
    result.changed_bytes = bytes_of(either, size);
    static_cast<CopyResult&>(result) = copy_changes(source, either, size, sink, options, observer);
  }
  if (options.verify != Verify::kNo) {
    const std::unique_ptr<Source> there = read_back(sink);
    const std::unique_ptr<Changes> written = changes_since(*there, sink.name(), mark);
    compare_there(source, *there, EitherChanges(changes, *written, size), sink.name(), options,
                  observer);
  }
  check_source(source, options.source_in_use);
  return result;
}

}  // namespace vmferry
