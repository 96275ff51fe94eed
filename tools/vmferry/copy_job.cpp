// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/copy_job.h"

#include <memory>

#include "tools/vmferry/ui/progress.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

void verify_target(Session& session, const RunOptions& run, const Source& source, Sink& sink,
                   const CopyJob& job) {
  const std::unique_ptr<Source> written = sink.read_back();
  ProgressDisplay display(session, run.progress_style(), "verify", {&source, written.get()});
  const CompareResult result =
      compare(source, *written, {.jobs = run.jobs, .stop = job.stop}, display.counters());
  if (result.same) {
    return;
  }
  check_source(source, job.source_in_use);  // then that is why
  throw Error({.kind = ErrorKind::kIo,
               .object = sink.name(),
               .action = "verify",
               .offset = result.first_difference,
               .cause = "reads back differently from the source",
               .hint = "suspect the target's storage, or a source that changed during the copy"});
}

}  // namespace

void check_source(const Source& source, bool in_use) {
  if (in_use) {
    source.check_still_there();
  } else {
    source.check_unchanged();
  }
}

CopyResult run_copy_job(Session& session, const RunOptions& run, const Source& source,
                        Target& target, const CopyJob& job) {
  Sink& sink = target.sink();
  std::unique_ptr<Sink> limited;
  if (job.rate_limit) {
    limited = limit_rate(sink, *job.rate_limit, job.stop);
  }
  CopyResult result;
  {
    ProgressDisplay display(session, run.progress_style(), job.what, {&source});
    result = copy(source, limited ? *limited : sink, {.jobs = run.jobs, .stop = job.stop},
                  display.counters());
  }
  if (job.verify) {
    verify_target(session, run, source, sink, job);
  }
  if (job.stop.stop_requested()) {
    throw cancelled_error();
  }
  check_source(source, job.source_in_use);
  target.publish();
  return result;
}

}  // namespace vmferry::cli
