// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer.h"

#include <memory>
#include <optional>

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
                   DiskDigest* digest, Observer* observer) {
  std::unique_ptr<Sink> limited;
  if (options.rate_limit) {
    limited = limit_rate(sink, *options.rate_limit, options.stop);
  }
  Progress counters;
  const ObservedPhase phase(observer, options.phase, counters, {&source});
  return copy(
      source, limited ? *limited : sink,
      {.jobs = options.jobs, .memory = options.memory, .stop = options.stop, .digest = digest},
      counters);
}

/// Throws unless the target reads back as the source.
void verify_by_reading(Sink& sink, const Source& source, const TransferOptions& options,
                       Observer* observer) {
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

/// False: the store cannot tell, or says that it holds something else. Reading tells the byte then.
bool verify_by_checksums(Sink& sink, const DiskDigest& digest, const TransferOptions& options,
                         Observer* observer) {
  Progress counters;
  const ObservedPhase phase(observer, "verify", counters, {});
  const auto different = sink.find_different(digest, counters, options.stop);
  return different && different->empty();
}

Verify verify(Sink& sink, const Source& source, const TransferOptions& options,
              const DiskDigest* digest, Observer* observer) {
  if (options.verify == Verify::kNo) {
    return Verify::kNo;
  }
  if (digest != nullptr && verify_by_checksums(sink, *digest, options, observer)) {
    return Verify::kYes;
  }
  verify_by_reading(sink, source, options, observer);
  return Verify::kReading;
}

}  // namespace

TransferResult transfer(const Source& source, Target& target, const TransferOptions& options,
                        Observer* observer) {
  Sink& sink = target.sink();
  require_same_size(source, sink);
  const bool by_checksums = options.verify == Verify::kYes && sink.traits().has_checksums;
  std::optional<DiskDigest> own;
  DiskDigest* digest = options.digest;
  if (digest == nullptr && by_checksums) {
    digest = &own.emplace(source.size());
  }
  TransferResult result{copy_to(sink, source, options, digest, observer)};
  result.verified = verify(sink, source, options, by_checksums ? digest : nullptr, observer);
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
