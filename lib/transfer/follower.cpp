// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/follower.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "lib/core/threads.h"

namespace vmferry {
namespace {

/// Long enough for a barrier and its round trips to cost nothing.
constexpr std::chrono::milliseconds kCheckEvery{100};

}  // namespace

Follower::Follower(DiskDigest& digest, Sink& sink, Work work, std::stop_source& ended)
    : digest_(digest),
      sink_(sink),
      work_(work),
      ended_(ended),
      thread_(start_thread([this](const std::stop_token& stop) {
        try {
          run(stop);
        } catch (...) {
          failure_ = std::current_exception();
          ended_.request_stop();
        }
      })) {}

void Follower::finish() {
  thread_.request_stop();
  if (thread_.joinable()) {
    thread_.join();
  }
  if (failure_) {
    std::rethrow_exception(std::exchange(failure_, nullptr));
  }
}

std::chrono::milliseconds Follower::pause() const {
  return work_.check ? std::min(kCheckEvery, work_.checkpoint_every) : work_.checkpoint_every;
}

void Follower::run(const std::stop_token& stop) {
  auto saved = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, stop, pause(), [] { return false; }) && !stop.stop_requested()) {
    const std::vector<uint64_t> pieces = digest_.take_changed_pieces();
    if (work_.checkpoints != nullptr) {
      work_.checkpoints->note_changed(pieces);
    }
    if (work_.check && !pieces.empty()) {
      check(pieces, stop);
    }
    const auto now = std::chrono::steady_clock::now();
    if (work_.checkpoints != nullptr && now - saved >= work_.checkpoint_every) {
      work_.checkpoints->save(digest_, sink_);
      saved = now;
    }
  }
}

/// The blocks of `pieces` that the copy has told of by now.
void Follower::check(const std::vector<uint64_t>& pieces, const std::stop_token& stop) {
  std::vector<DiskDigest::Known> blocks;
  for (const uint64_t piece : pieces) {
    const uint64_t begin = piece * DiskDigest::kBlocksPerPiece;
    for (uint64_t index = begin; index < begin + DiskDigest::kBlocksPerPiece; ++index) {
      if (const auto digest = digest_.find(index)) {
        blocks.push_back({index, *digest});
      }
    }
  }
  sink_.barrier();
  sink_.check_early(blocks, stop);
}

}  // namespace vmferry
