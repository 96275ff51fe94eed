// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/state_copy.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/transfer/base_sink.h"
#include "lib/transfer/limited_sink.h"
#include "lib/transfer/reading_back.h"
#include "lib/transfer/rest_source.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = DiskDigest::kBlock;

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

/// The sink of an adopted target, once what nobody knows of is zero in it. What is copied is the
/// rest of `whole`, which may share blocks.
class AdoptedSink : public ForwardingSink {
 public:
  AdoptedSink(Sink& inner, const Source& whole) : ForwardingSink(inner), whole_(whole) {}
  SinkTraits traits() const override {
    SinkTraits traits = ForwardingSink::traits();
    traits.starts_zeroed = true;
    return traits;
  }
  bool may_share(const Source& /*rest*/) const override {
    return ForwardingSink::may_share(whole_);
  }
  bool share_range(const Source& /*rest*/, uint64_t offset, uint64_t length) override {
    return ForwardingSink::share_range(whole_, offset, length);
  }

 private:
  const Source& whole_;
};

}  // namespace

StateCopy::StateCopy(const Source& source, Target& target, const TransferOptions& options,
                     Observer* observer)
    : source_(source),
      target_(target),
      sink_(target.sink()),
      options_(options),
      observer_(observer) {
  require_same_size(source, sink_);
  choose_digest();
  if (digest_ != nullptr && target.notes() != nullptr && !source.stamp().empty()) {
    checkpoints_.emplace(*target.notes(), sink_.name(), source.stamp(), source.size());
  }
}

TransferResult StateCopy::run() {
  TransferResult result;
  take_up(result);
  const uint64_t kept = result.kept_bytes;
  result = {copy_rest(), Verify::kNo, kept, base_bytes_};
  result.verified = verify();
  // What was there is not among the zeros that were skipped.
  result.zero_bytes -= std::min(result.zero_bytes, result.kept_bytes);
  return result;
}

bool StateCopy::makes_checkpoints() const {
  return options_.make_checkpoints || options_.keep_partial;
}

void StateCopy::choose_digest() {
  by_checksums_ = options_.verify == Verify::kYes && sink_.traits().has_checksums;
  digest_ = options_.digest;
  const bool for_checkpoints = options_.breaks != nullptr ||
                               (makes_checkpoints() && target_.notes() != nullptr) ||
                               target_.adopted();
  if (digest_ == nullptr && (by_checksums_ || for_checkpoints)) {
    digest_ = &own_.emplace(source_.size());
    // What is done before the first checkpoint is of use only if more follows.
    if (!by_checksums_ && options_.breaks == nullptr) {
      digest_from_ = std::chrono::steady_clock::now() + options_.checkpoint_every / 5;
    }
  }
}

/// Finds out what of an earlier run's work can be relied on, and leaves zeros in place of the
/// rest.
void StateCopy::take_up(TransferResult& result) {
  if (!target_.adopted()) {
    return;
  }
  if (checkpoints_) {
    checkpoints_->load(*digest_);
  }
  zero_different();
  for (auto block = digest_->next(0); block; block = digest_->next(block->index + 1)) {
    result.kept_bytes += block->digest.length;
  }
}

void StateCopy::zero_different() {
  Progress counters;
  const ObservedPhase phase(observer_, "check", counters, {});
  for (const uint64_t block : find_different(counters)) {
    if (options_.stop.stop_requested()) {
      throw cancelled_error();
    }
    digest_->forget(block);
    const uint64_t begin = block * kBlock;
    sink_.zero_range(begin, std::min(kBlock, source_.size() - begin));
  }
}

/// The blocks of the adopted target that do not hold what the digest says.
std::vector<uint64_t> StateCopy::find_different(Progress& counters) {
  if (auto different = sink_.find_different(*digest_, counters, options_.stop)) {
    return *different;
  }
  return blocks_read_differently(sink_, *digest_, options_, counters);
}

CopyResult StateCopy::copy_rest() {
  std::optional<RestSource> rest;
  if (target_.adopted()) {
    rest.emplace(source_, *digest_);
  }
  const Source& source = rest ? static_cast<const Source&>(*rest) : source_;
  AdoptedSink adopted(sink_, source_);
  Sink& sink = target_.adopted() ? adopted : sink_;
  std::stop_source ended;  // by who wants to stop, and by a follower that has failed
  const std::stop_callback passed_on(options_.stop, [&ended] { ended.request_stop(); });
  const std::unique_ptr<Sink> limited = limited_sink(sink, options_, ended.get_token());
  Progress counters;
  counters.silent_for = [&] { return std::max(source.silent_for(), sink_.silent_for()); };
  const ObservedPhase phase(observer_, options_.phase, counters, {&source});
  std::optional<Follower> follower;
  start_following(follower, ended);
  try {
    const CopyResult copied = copy_to(limited ? *limited : sink, source,
                                      {.jobs = options_.jobs,
                                       .memory = options_.memory,
                                       .stop = ended.get_token(),
                                       .digest = digest_,
                                       .digest_from = digest_from_},
                                      counters);
    finish(follower);
    return copied;
  } catch (const Error&) {
    finish(follower);  // what it says came first
    throw;
  }
}

CopyResult StateCopy::copy_to(Sink& sink, const Source& source, const CopyOptions& options,
                              Progress& counters) {
  const std::optional<TargetBase> base = target_.base();
  if (!base) {
    return copy(source, sink, options, counters);
  }
  const CopyOverBase copied =
      copy_over_base(source, sink, *base, options_.base_depth, options, counters);
  base_bytes_ = copied.base_bytes;
  return copied.result;
}

void StateCopy::finish(std::optional<Follower>& follower) {
  if (follower) {
    follower->finish();
  }
}

void StateCopy::start_following(std::optional<Follower>& follower, std::stop_source& ended) {
  Checkpoints* checkpoints = checkpoints_ && makes_checkpoints() ? &*checkpoints_ : nullptr;
  if (checkpoints == nullptr && !by_checksums_) {
    return;
  }
  try {
    follower.emplace(*digest_, sink_,
                     Follower::Work{.checkpoints = checkpoints,
                                    .checkpoint_every = options_.checkpoint_every,
                                    .check = by_checksums_},
                     ended);
  } catch (const Error&) {
    return;  // no thread is to be had: the copy does without
  }
}

Verify StateCopy::verify() {
  if (options_.verify == Verify::kNo) {
    return Verify::kNo;
  }
  if (by_checksums_ && verify_by_checksums()) {
    return Verify::kYes;
  }
  if (options_.breaks != nullptr) {
    verify_by_digest();
  } else {
    verify_by_reading();
  }
  return Verify::kReading;
}

/// False: the store cannot tell, or says that it holds something else. Reading tells the byte
/// then.
bool StateCopy::verify_by_checksums() {
  Progress counters;
  const ObservedPhase phase(observer_, "verify", counters, {});
  const auto different = sink_.find_different(*digest_, counters, options_.stop);
  return different && different->empty();
}

/// Throws unless the target reads back as what was read, of a source that is changed meanwhile.
void StateCopy::verify_by_digest() {
  Progress counters;
  const ObservedPhase phase(observer_, "verify", counters, {});
  const std::vector<uint64_t> different =
      blocks_read_differently(sink_, *digest_, options_, counters);
  if (different.empty()) {
    return;
  }
  is_wrong_ = true;
  throw Error({.kind = ErrorKind::kIo,
               .object = sink_.name(),
               .action = "verify",
               .offset = different.front() * kBlock,
               .cause = "reads back differently from what was written",
               .hint = "suspect the target's storage"});
}

/// Throws unless the target reads back as the source.
void StateCopy::verify_by_reading() {
  const std::unique_ptr<Source> written = read_back(sink_);
  Progress counters;
  CompareResult result;
  {
    const ObservedPhase phase(observer_, "verify", counters, {&source_, written.get()});
    result = compare(source_, *written, {.jobs = options_.jobs, .stop = options_.stop}, counters);
  }
  if (result.same) {
    return;
  }
  is_wrong_ = true;
  check_source(source_, options_.source_in_use);  // then that is why
  throw Error({.kind = ErrorKind::kIo,
               .object = sink_.name(),
               .action = "verify",
               .offset = result.first_difference,
               .cause = "reads back differently from the source",
               .hint = "suspect the target's storage, or a source that changed during the copy"});
}

void StateCopy::save_last() {
  try {
    checkpoints_->note_changed(digest_->take_changed_pieces());
    checkpoints_->save(*digest_, sink_);
  } catch (const Error&) {
    return;  // then there are those before
  }
}

/// Is it worth keeping after this error? What was adopted always is: there is nothing better.
bool StateCopy::is_worth_keeping(const Error& error) const {
  if (is_wrong_ || !checkpoints_) {
    return false;
  }
  const bool outside = error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kCancelled ||
                       error.kind() == ErrorKind::kNotFound;
  return target_.adopted() || (outside && checkpoints_->exist());
}

Error StateCopy::kept(const Error& error) {
  // To go on was asked for, and is not possible: that is no reason to lose what there is.
  if (target_.adopted() && error.kind() == ErrorKind::kConflict && !is_wrong_) {
    target_.keep();
    return error;
  }
  if (!options_.keep_partial) {
    return error;
  }
  if (error.kind() == ErrorKind::kCancelled && checkpoints_ && checkpoints_->exist()) {
    save_last();
  }
  return is_worth_keeping(error) ? kept_in(target_, error) : error;
}

Error kept_in(Target& target, const Error& error) {
  const std::string removal = target.keep();
  if (removal.empty()) {
    return error;
  }
  ErrorParts parts = error.parts();
  parts.hint += parts.hint.empty() ? "" : "; ";
  parts.hint +=
      "what was copied is kept: go on with it by the same command and --resume, or remove it: " +
      removal;
  return Error(std::move(parts));
}

}  // namespace vmferry
