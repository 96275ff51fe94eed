// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/workers.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace vmferry {

void run_workers(unsigned count, std::stop_token stop,
                 const std::function<void(std::stop_token)>& work) {
  std::stop_source all;
  std::stop_callback pass_on(stop, [&all] { all.request_stop(); });
  std::mutex mutex;
  std::exception_ptr first;

  auto guarded = [&] {
    try {
      work(all.get_token());
    } catch (...) {
      // The error is kept before the others are told, so none of their answers can come first.
      {
        std::lock_guard lock(mutex);
        if (!first) {
          first = std::current_exception();
        }
      }
      all.request_stop();
    }
  };
  {
    std::vector<std::jthread> threads;
    threads.reserve(count);
    try {
      while (threads.size() + 1 < count) {
        threads.emplace_back(guarded);
      }
    } catch (const std::exception&) {
      // No more threads, or no memory for them: those that run, and the caller's, do the work.
    }
    guarded();
  }
  if (first) {
    std::rethrow_exception(first);
  }
}

}  // namespace vmferry
