// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/copy_again.h"

#include <algorithm>
#include <memory>

#include "lib/transfer/copy_changes.h"
#include "lib/transfer/delta.h"
#include "lib/transfer/less_each_time.h"
#include "lib/transfer/reading_back.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// What of a pass is still to be compared: from some place on, and nothing that was changed since.
class RestOfPass final : public Changes {
 public:
  RestOfPass(const ByteRanges& pass, uint64_t from) : pass_(pass), from_(from) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset < from_) {
      return {std::min(max, from_ - offset), false};
    }
    return pass_.run_at(offset, max);
  }

 private:
  const ByteRanges& pass_;
  const uint64_t from_;
};

/// Compares what a pass has copied. Where it differs, and the disk was changed in a break just now,
/// that is for the next pass.
void compare_pass(const Source& source, const ByteRanges& pass, CopyBreaks& breaks, Sink& sink,
                  const TransferOptions& options, Observer* observer) {
  const std::unique_ptr<Source> written = read_back(sink);
  Progress counters;
  const ObservedPhase observed(observer, "verify", counters, {});
  for (uint64_t from = 0; from < source.size();) {
    const RestOfPass rest(pass, from);
    const DeltaSource here(source, rest);
    const DeltaSource there(*written, rest);
    const CompareResult result =
        compare(here, there, {.jobs = options.jobs, .stop = options.stop}, counters);
    if (result.same) {
      return;
    }
    from = breaks.end_of_changes(*result.first_difference);
    if (from == *result.first_difference) {
      throw Error({.kind = ErrorKind::kIo,
                   .object = sink.name(),
                   .action = "verify",
                   .offset = result.first_difference,
                   .cause = "reads back differently from what was written",
                   .hint = "suspect the cluster's storage, or somebody who writes to the volume"});
    }
  }
}

}  // namespace

uint64_t copy_again(const Source& source, CopyBreaks& breaks, Sink& sink,
                    const TransferOptions& options, Observer* observer) {
  uint64_t bytes = 0;
  LessEachTime passes;
  while (!breaks.close()) {
    const ByteRanges pass = breaks.take();
    if (pass.empty()) {
      continue;  // a break that was wanted did not come
    }
    // Each has what was changed in the one before.
    if (!passes.still(pass.bytes())) {
      throw Error({.kind = ErrorKind::kIo,
                   .object = source.name(),
                   .action = "copy what was written meanwhile",
                   .cause = "the guest writes faster than it is copied",
                   .hint = "give it more room with --overlay-max, or try at a quieter time"});
    }
    bytes += pass.bytes();
    copy_changes(source, pass, source.size(), sink, options, observer);
    if (options.verify != Verify::kNo) {
      compare_pass(source, pass, breaks, sink, options, observer);
    }
  }
  return bytes;
}

}  // namespace vmferry
