// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer_changes.h"

#include <algorithm>
#include <memory>

#include "lib/transfer/copy_changes.h"
#include "lib/transfer/delta.h"
#include "lib/transfer/reading_back.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// What a layer has of its own.
class OwnChanges final : public Changes {
 public:
  explicit OwnChanges(const Overlay& layer) : layer_(layer) {}
  Run run_at(uint64_t offset, uint64_t max) const override {
    return layer_.own_run_at(offset, max);
  }

 private:
  const Overlay& layer_;
};

void compare_written(const Source& source, const Source& written, const std::string& name,
                     const TransferOptions& options, Observer* observer) {
  Progress counters;
  const ObservedPhase observed(observer, "verify", counters, {&source, &written});
  const CompareResult result =
      compare(source, written, {.jobs = options.jobs, .stop = options.stop}, counters);
  if (result.same) {
    return;
  }
  check_source(source, options.source_in_use);  // then that is why
  throw Error({.kind = ErrorKind::kIo,
               .object = name,
               .action = "verify",
               .offset = result.first_difference,
               .cause = "reads back differently from the source",
               .hint = "suspect the target's storage, or a source that changed during the copy"});
}

Verify verify_changes(const Source& source, const Changes& changes, Sink& sink,
                      const TransferOptions& options, Observer* observer) {
  if (options.verify == Verify::kNo) {
    return Verify::kNo;
  }
  const std::unique_ptr<Source> written = read_back(sink);
  const auto* layer = dynamic_cast<const Overlay*>(written.get());
  if (options.verify == Verify::kReading || layer == nullptr) {
    compare_written(source, *written, sink.name(), options, observer);
    return Verify::kReading;
  }
  const OwnChanges own(*layer);
  const EitherChanges either(changes, own, std::min(source.size(), written->size()));
  const DeltaSource here(source, either);
  const DeltaSource there(*written, either);
  compare_written(here, there, sink.name(), options, observer);
  return Verify::kReading;
}

}  // namespace

TransferResult transfer_changes(const Source& source, const Source& below, const Changes& changes,
                                Target& target, const TransferOptions& options,
                                Observer* observer) {
  Sink& sink = target.sink();
  TransferResult result;
  static_cast<CopyResult&>(result) =
      copy_changes(source, changes, below.size(), sink, options, observer);
  result.verified = verify_changes(source, changes, sink, options, observer);
  if (options.stop.stop_requested()) {
    throw cancelled_error();
  }
  check_source(source, options.source_in_use);
  target.publish();
  return result;
}

}  // namespace vmferry
