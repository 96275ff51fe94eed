// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vmferry/api.h"
#include "vmferry/host.h"

namespace VMFERRY_API vmferry {

/// Told of the calls of hosts and their guests. Any thread; what it throws is lost, and the call
/// goes on.
class CallTrace {
 public:
  virtual ~CallTrace() = default;
  enum class Kind { kAsks, kChanges };
  /// A call begins ("here: pivot web1 vda"). Answers what ended() is to be given.
  virtual uint64_t began(const std::string& call, Kind kind) = 0;
  virtual void ended(uint64_t id, const std::string& result) = 0;
  /// Something else that belongs between calls.
  virtual void note(const std::string& text) = 0;
};

/// The same host, of whose calls, and of those of its guests, `trace` is told; `name` says which
/// host that is. Definitions and keys are not told. The real one is lib/libvirt/traced_host.cpp.
std::shared_ptr<Host> trace_calls(std::shared_ptr<Host> host, std::string name,
                                  std::shared_ptr<CallTrace> trace);

}  // namespace VMFERRY_API vmferry
