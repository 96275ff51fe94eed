// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/copy_breaks.h"

#include <limits>
#include <utility>

#include "vmferry/error.h"

namespace vmferry {

bool CopyBreaks::begin(std::chrono::milliseconds time) {
  const auto give_up = std::chrono::steady_clock::now() + time;
  std::unique_lock lock(mutex_);
  moved_.wait_until(lock, give_up, [this] { return !open_ || closed_ || reads_ != reads_at_end_; });
  if (reads_ == 0) {
    return false;
  }
  wanted_ = true;
  moved_.wait_until(lock, give_up, [this] { return !open_ || (readers_ == 0 && !closed_); });
  if (open_ && readers_ == 0 && !closed_) {
    source_.reset();
    return true;
  }
  wanted_ = false;
  moved_.notify_all();
  return false;
}

void CopyBreaks::end(const ByteRanges& changed) {
  const std::lock_guard lock(mutex_);
  changed_.add(changed);
  any_ = true;
  reads_at_end_ = reads_;
  wanted_ = false;
  moved_.notify_all();
}

void CopyBreaks::give_up() {
  const std::lock_guard lock(mutex_);
  given_up_ = true;
  moved_.notify_all();
}

uint64_t CopyBreaks::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}

bool CopyBreaks::any() const {
  const std::lock_guard lock(mutex_);
  return any_;
}

uint64_t CopyBreaks::changed_bytes() const {
  const std::lock_guard lock(mutex_);
  return changed_.bytes();
}

void CopyBreaks::wait_for_end(std::unique_lock<std::mutex>& lock) {
  const bool ended = moved_.wait(lock, stop_, [this] { return !wanted_ || given_up_; });
  if (!ended || given_up_) {
    throw cancelled_error();
  }
}

void CopyBreaks::attach(Open open, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  stop_ = std::move(stop);
  wait_for_end(lock);
  source_ = open();
  open_ = std::move(open);
}

void CopyBreaks::detach() {
  const std::lock_guard lock(mutex_);
  source_.reset();
  open_ = {};
  closed_ = false;
  moved_.notify_all();
}

CopyBreaks::Reading::Reading(CopyBreaks& breaks) : breaks_(breaks) {
  std::unique_lock lock(breaks.mutex_);
  breaks.wait_for_end(lock);
  if (!breaks.source_ && breaks.open_) {
    breaks.source_ = breaks.open_();
  }
  source_ = breaks.source_.get();
  ++breaks.readers_;
  if (breaks.reads_++ == breaks.reads_at_end_) {
    breaks.moved_.notify_all();
  }
}

CopyBreaks::Reading::~Reading() {
  const std::lock_guard lock(breaks_.mutex_);
  if (--breaks_.readers_ == 0 && breaks_.wanted_) {
    breaks_.moved_.notify_all();
  }
}

ByteRanges CopyBreaks::take() {
  std::unique_lock lock(mutex_);
  wait_for_end(lock);
  return std::exchange(changed_, ByteRanges());
}

uint64_t CopyBreaks::end_of_changes(uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  const Changes::Run run = changed_.run_at(offset, std::numeric_limits<uint64_t>::max() - offset);
  return run.may_differ ? offset + run.length : offset;
}

bool CopyBreaks::close() {
  const std::lock_guard lock(mutex_);
  closed_ = !wanted_ && changed_.empty();
  moved_.notify_all();
  return closed_;
}

}  // namespace vmferry
