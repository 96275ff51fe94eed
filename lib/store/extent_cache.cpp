// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/extent_cache.h"

#include <algorithm>

#include "lib/core/zeros.h"

namespace vmferry {
ExtentCache::ExtentCache(uint64_t size, uint64_t piece, size_t max_extents, Ask ask)
    : size_(size), piece_(piece), max_extents_(max_extents), ask_(std::move(ask)) {}

Extent ExtentCache::extent_at(uint64_t offset, uint64_t max) {
  const uint64_t number = offset / piece_;
  const uint64_t begin = number * piece_;
  const uint64_t length = std::min(piece_, size_ - begin);
  max = std::min(max, begin + length - offset);
  const std::shared_ptr<Answer> answer = answer_for(number);
  const std::lock_guard lock(answer->mutex);
  if (!answer->known) {
    answer->data = ask_(begin, length);
    answer->known = true;
    count(answer, number);
  }
  return extent_in(answer->data, offset, max);
}

std::shared_ptr<ExtentCache::Answer> ExtentCache::answer_for(uint64_t piece) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Answer>& answer = answers_[piece];
  if (!answer) {
    answer = std::make_shared<Answer>();
  }
  answer->last_use = ++uses_;
  return answer;
}

/// An answer that is dropped stays with those who look at it.
void ExtentCache::count(const std::shared_ptr<Answer>& answer, uint64_t piece) {
  const std::lock_guard lock(mutex_);
  answer->counted = answer->data.size() + 1;
  extents_ += answer->counted;
  while (extents_ > max_extents_) {
    auto oldest = answers_.end();
    for (auto it = answers_.begin(); it != answers_.end(); ++it) {
      const bool may_go = it->first != piece && it->second->counted > 0;
      if (!may_go) {
        continue;
      }
      if (oldest == answers_.end() || it->second->last_use < oldest->second->last_use) {
        oldest = it;
      }
    }
    if (oldest == answers_.end()) {
      return;
    }
    extents_ -= oldest->second->counted;
    answers_.erase(oldest);
  }
}

}  // namespace vmferry
