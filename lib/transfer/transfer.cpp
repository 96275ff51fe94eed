// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer.h"

#include <memory>

#include "lib/core/format_bytes.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// A disk of another size is not a copy, whatever its bytes are.
void require_same_size(const Source& source, const Sink& sink) {
  if (source.size() == sink.size()) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = sink.name(),
               .action = "copy",
               .cause = "it was opened for " + exact_bytes(sink.size()) + ", and the source has " +
                        exact_bytes(source.size())});
}

CopyResult copy_to(Sink& sink, const Source& source, const TransferOptions& options,
                   Observer* observer) {
  std::unique_ptr<Sink> limited;
  if (options.rate_limit) {
    limited = limit_rate(sink, *options.rate_limit, options.stop);
  }
  Progress counters;
  const ObservedPhase phase(observer, options.phase, counters, {&source});
  return copy(source, limited ? *limited : sink,
              {.jobs = options.jobs,
               .memory = options.memory,
               .stop = options.stop,
               .digest = options.digest},
              counters);
}

void verify(Sink& sink, const Source& source, const TransferOptions& options, Observer* observer) {
  const std::unique_ptr<Source> written = sink.read_back();
  Progress counters;
  CompareResult result;
  {
    const ObservedPhase phase(observer, "verify", counters, {&source, written.get()});
    result = compare(source, *written, {.jobs = options.jobs, .stop = options.stop}, counters);
  }
  if (result.same) {
    return;
  }
  check_source(source, options.source_in_use);  // then that is why
  throw Error({.kind = ErrorKind::kIo,
               .object = sink.name(),
               .action = "verify",
               .offset = result.first_difference,
               .cause = "reads back differently from the source",
               .hint = "suspect the target's storage, or a source that changed during the copy"});
}

}  // namespace

CopyResult transfer(const Source& source, Target& target, const TransferOptions& options,
                    Observer* observer) {
  require_same_size(source, target.sink());
  const CopyResult result = copy_to(target.sink(), source, options, observer);
  if (options.verify) {
    verify(target.sink(), source, options, observer);
  }
  if (options.stop.stop_requested()) {
    throw cancelled_error();
  }
  check_source(source, options.source_in_use);
  target.publish();
  return result;
}

void check_source(const Source& source, bool in_use) {
  if (in_use) {
    source.check_still_there();
  } else {
    source.check_unchanged();
  }
}

}  // namespace vmferry
