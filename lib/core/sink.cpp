// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/sink.h"

#include "vmferry/error.h"

namespace vmferry {

void Sink::check_writes() {}

bool Sink::may_share(const Source& /*source*/) const { return false; }

bool Sink::share_range(const Source& /*source*/, uint64_t /*offset*/, uint64_t /*length*/) {
  return false;
}

void Sink::check_early(std::span<const DiskDigest::Known> /*blocks*/, std::stop_token /*stop*/) {}

void Sink::grow(uint64_t /*size*/) {
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = name(),
               .action = "write",
               .cause = "the size of such a target has to be known before the first byte",
               .hint = "tell it with --size"});
}

void Sink::set_size(uint64_t size) { grow(size); }

std::optional<std::vector<uint64_t>> Sink::find_different(const DiskDigest& /*digest*/,
                                                          Progress& /*counters*/,
                                                          std::stop_token /*stop*/) {
  return std::nullopt;
}

}  // namespace vmferry
