// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <stop_token>
#include <utility>

#include "vmferry/copy.h"
#include "vmferry/transfer.h"

namespace vmferry {

/// `sink`, with the limit that the options have. Null: they have none.
inline std::unique_ptr<Sink> limited_sink(Sink& sink, const TransferOptions& options,
                                          std::stop_token stop) {
  if (options.rate_now) {
    return limit_rate(sink, options.rate_now, std::move(stop));
  }
  return options.rate_limit ? limit_rate(sink, *options.rate_limit, std::move(stop)) : nullptr;
}

}  // namespace vmferry
