// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <stop_token>

namespace vmferry {

/// Runs `work` on `count` threads, the caller's among them, and waits for all. Where a limit on
/// threads is reached they are fewer. When one throws, the token that the others see is triggered;
/// so it is when `stop` is. Rethrows the first error, which is never a mere "cancelled" that
/// followed from another one.
void run_workers(unsigned count, std::stop_token stop,
                 const std::function<void(std::stop_token)>& work);

}  // namespace vmferry
