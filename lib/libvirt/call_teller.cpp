// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/call_teller.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace vmferry::libvirt {

std::string told(bool value) { return value ? "yes" : "no"; }
std::string told(unsigned value) { return std::to_string(value); }
std::string told(const std::string& text) { return text.empty() ? "nothing" : text; }
std::string told(const std::vector<std::string>& texts) {
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}
std::string told(const std::vector<KnownSnapshot>& snapshots) {
  std::vector<std::string> names;
  names.reserve(snapshots.size());
  for (const KnownSnapshot& snapshot : snapshots) {
    names.push_back(snapshot.name + (snapshot.current ? " (current)" : ""));
  }
  return told(names);
}
std::string told(const HostFacts& facts) { return facts.hostname; }
std::string told(const DiskSizes& sizes) { return fmt::format("{} bytes", sizes.capacity); }

std::string told(DomainState state) {
  switch (state) {
    case DomainState::kAbsent:
      return "absent";
    case DomainState::kShutOff:
      return "shut off";
    case DomainState::kRunning:
      return "running";
    case DomainState::kPaused:
      return "paused";
    default:
      return "another state";
  }
}

// Without what changes at every look.
std::string told(const std::optional<BlockJob>& job) {
  if (!job) {
    return "none";
  }
  const char* kind = job->kind == BlockJob::Kind::kCopy           ? "copy"
                     : job->kind == BlockJob::Kind::kActiveCommit ? "active commit"
                                                                  : "another job";
  return fmt::format("{}{}{}{}", kind, job->target.empty() ? "" : " to ", job->target,
                     job->ready ? ", ready" : "");
}
std::string told(const std::optional<MigrationStats>& stats) { return stats ? "goes on" : "none"; }
std::string told(const std::optional<uint64_t>& milliseconds) {
  return milliseconds ? fmt::format("{} ms", *milliseconds) : "not told";
}
std::string told(const std::optional<FoundSecret>& secret) {
  if (!secret) {
    return "none";
  }
  return secret->other_use.empty() ? "found" : "for " + secret->other_use;
}

const char* name_of(DefinitionKind kind) {
  switch (kind) {
    case DefinitionKind::kLive:
      return "live";
    case DefinitionKind::kPersistent:
      return "persistent";
    case DefinitionKind::kMigratable:
      return "migratable";
    default:
      return "migratable persistent";
  }
}

std::string name_of(const SecretName& secret) {
  return secret.uuid.empty() ? "usage " + secret.usage : secret.uuid;
}

std::string size_of(const std::string& definition) {
  return fmt::format("{} bytes", definition.size());
}

}  // namespace vmferry::libvirt
