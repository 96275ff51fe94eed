// SPDX-License-Identifier: LGPL-2.1-or-later
#include <memory>
#include <optional>

#include "lib/core/format_bytes.h"
#include "lib/transfer/limited_sink.h"
#include "lib/transfer/reading_back.h"
#include "vmferry/error.h"
#include "vmferry/transfer.h"

namespace vmferry {
namespace {

/// One call of transfer() for a stream. Nobody can look at it twice: what the target holds is
/// compared with the digest of what was read.
class StreamTransfer {
 public:
  StreamTransfer(ByteStream& source, Target& target, const TransferOptions& options,
                 Observer* observer)
      : source_(source),
        target_(target),
        sink_(target.sink()),
        options_(options),
        observer_(observer),
        digest_(options.digest) {
    if (digest_ == nullptr && options.verify != Verify::kNo) {
      digest_ = &own_.emplace(source.size().value_or(0));
    }
  }

  TransferResult run() {
    require_same_size();
    refuse_base();
    TransferResult result = {copy_all()};
    result.verified = verify();
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
    if (options_.source_in_use) {
      source_.check_still_there();
    } else {
      source_.check_unchanged();
    }
    target_.publish();
    return result;
  }

 private:
  void require_same_size() const {
    const std::optional<uint64_t> size = source_.size();
    if (size && *size != sink_.size()) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = sink_.name(),
                   .action = "copy",
                   .cause = "it was opened for " + exact_bytes(sink_.size()) +
                            ", and the source has " + exact_bytes(*size)});
    }
  }

  void refuse_base() const {
    if (target_.base()) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = sink_.name(),
                   .action = "copy",
                   .cause = "what is read in order cannot be compared with a base",
                   .hint = "save it to a file first"});
    }
  }

  CopyResult copy_all() {
    const std::unique_ptr<Sink> limited = limited_sink(sink_, options_, options_.stop);
    Progress counters;
    counters.silent_for = [this] { return sink_.silent_for(); };
    const ObservedPhase phase(observer_, options_.phase, counters, {});
    return copy(source_, limited ? *limited : sink_,
                {.jobs = options_.jobs,
                 .memory = options_.memory,
                 .stop = options_.stop,
                 .digest = digest_},
                counters);
  }

  Verify verify() {
    if (options_.verify == Verify::kNo) {
      return Verify::kNo;
    }
    Progress counters;
    const ObservedPhase phase(observer_, "verify", counters, {});
    if (options_.verify == Verify::kYes && sink_.traits().has_checksums) {
      if (const auto different = sink_.find_different(*digest_, counters, options_.stop)) {
        require_none(*different);
        return Verify::kYes;
      }
    }
    require_none(blocks_read_differently(sink_, *digest_, options_, counters));
    return Verify::kReading;
  }

  void require_none(const std::vector<uint64_t>& different) const {
    if (different.empty()) {
      return;
    }
    const uint64_t begin = different.front() * DiskDigest::kBlock;
    throw Error({.kind = ErrorKind::kIo,
                 .object = sink_.name(),
                 .action = "verify",
                 .offset = begin,
                 .cause = "the " +
                          exact_bytes(std::min(DiskDigest::kBlock, digest_->size() - begin)) +
                          " from there on do not read back as they were written",
                 .hint = "suspect the target's storage"});
  }

  ByteStream& source_;
  Target& target_;
  Sink& sink_;
  const TransferOptions& options_;
  Observer* const observer_;
  std::optional<DiskDigest> own_;
  DiskDigest* digest_;
};

}  // namespace

TransferResult transfer(ByteStream& source, Target& target, const TransferOptions& options,
                        Observer* observer) {
  return StreamTransfer(source, target, options, observer).run();
}

}  // namespace vmferry
