// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vmferry/call_trace.h"
#include "vmferry/error.h"
#include "vmferry/host.h"

namespace vmferry::libvirt {

// What a trace has of an answer. Definitions and secrets may hold passwords: only their size.

std::string told(bool value);
std::string told(unsigned value);
std::string told(const std::string& text);
std::string told(const std::vector<std::string>& texts);
std::string told(const std::vector<KnownSnapshot>& snapshots);
std::string told(const HostFacts& facts);
std::string told(const DiskSizes& sizes);
std::string told(DomainState state);
std::string told(const std::optional<BlockJob>& job);
std::string told(const std::optional<MigrationStats>& stats);
std::string told(const std::optional<uint64_t>& milliseconds);
std::string told(const std::optional<FoundSecret>& secret);
const char* name_of(DefinitionKind kind);
std::string name_of(const SecretName& secret);
std::string size_of(const std::string& definition);

/// Tells a trace of the calls of one host; `name` is what the trace calls it. Any thread. Throws
/// nothing but what the calls throw.
class CallTeller {
 public:
  CallTeller(std::shared_ptr<CallTrace> trace, std::string name)
      : trace_(std::move(trace)), name_(std::move(name)) {}

  const std::string& name() const { return name_; }

  using Kind = CallTrace::Kind;

  /// Tells of a question, and of its answer as `say` puts it.
  template <typename Ask, typename Say>
  auto ask(const std::string& call, Ask&& question, Say&& say, Kind kind = Kind::kAsks) const {
    const std::optional<uint64_t> id = began(call, kind);
    try {
      auto answer = question();
      ended(id, [&] { return std::string(say(answer)); });
      return answer;
    } catch (const Error& error) {
      ended(id, [&] { return std::string("failed: ") + error.what(); });
      throw;
    } catch (...) {
      ended(id, [] { return std::string("failed"); });
      throw;
    }
  }
  template <typename Ask>
  auto ask(const std::string& call, Ask&& question) const {
    return ask(call, std::forward<Ask>(question), [](const auto& answer) { return told(answer); });
  }

  /// Of a call without an answer.
  template <typename Act>
  void act(const std::string& call, Act&& action, Kind kind = Kind::kChanges) const {
    ask(
        call,
        [&] {
          action();
          return true;
        },
        [](bool) { return "done"; }, kind);
  }

 private:
  // A call is worth more than what is told of it: that may be lost.

  std::optional<uint64_t> began(const std::string& call, Kind kind) const noexcept {
    try {
      return trace_->began(name_ + ": " + call, kind);
    } catch (...) {
      return std::nullopt;
    }
  }
  template <typename Text>
  void ended(const std::optional<uint64_t>& id, Text&& text) const noexcept {
    try {
      if (id) {
        trace_->ended(*id, text());
      }
    } catch (...) {
      return;
    }
  }

  std::shared_ptr<CallTrace> trace_;
  std::string name_;
};

}  // namespace vmferry::libvirt
