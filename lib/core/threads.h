// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "vmferry/error.h"

namespace vmferry {

/// The Error for a thread that could not be started.
Error no_thread_error(const std::system_error& cause);

/// std::jthread, whose failure is an Error that says which limits to look at.
template <typename Function>
std::jthread start_thread(Function&& function) {
  try {
    return std::jthread(std::forward<Function>(function));
  } catch (const std::system_error& error) {
    throw no_thread_error(error);
  }
}

}  // namespace vmferry
