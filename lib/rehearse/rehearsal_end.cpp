// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/rehearsal_end.h"

#include <chrono>
#include <thread>

#include "lib/core/shell_word.h"
#include "vmferry/error.h"

namespace vmferry::rehearsal {

/// Whatever else has its name has another UUID.
void RehearsalEnd::stop_copy() {
  trouble_ = trouble_of([&] {
    const std::shared_ptr<Host> host = context_.connect(things_.uri);
    const std::shared_ptr<Guest> copy = host->guest(things_.name);
    constexpr int kLooks = 100;
    for (int look = 0; copy->uuid() == things_.uuid; ++look) {
      try {
        copy->destroy();
      } catch (const Error&) {
        if (look == kLooks) {
          throw;  // else it may just have gone off by itself
        }
      }
      std::this_thread::sleep_for(look == 0 ? std::chrono::milliseconds(0) : context_.poll);
    }
  });
}

std::optional<uint64_t> RehearsalEnd::written() const {
  uint64_t bytes = 0;
  try {
    const std::unique_ptr<RehearsalStorage> volumes = context_.volumes(things_.ceph);
    for (const RehearsalVolume& one : things_.volumes) {
      const std::optional<uint64_t> own = volumes->written(one.volume);
      if (!own) {
        return std::nullopt;
      }
      bytes += *own;
    }
  } catch (const Error&) {
    return std::nullopt;  // what it cost matters less than that all goes
  }
  return bytes;
}

/// Ceph removes no volume that a client has open. So those of a copy that runs stay, and where all
/// are gone there is none, even if its host could not be asked.
void RehearsalEnd::remove_volumes() {
  for (const RehearsalVolume& one : things_.volumes) {
    const std::string trouble =
        trouble_of([&] { context_.volumes(things_.ceph)->remove(one.volume, one.identity); });
    if (!trouble.empty()) {
      left_.push_back(trouble);
    }
  }
  if (!left_.empty() && !trouble_.empty()) {
    left_.insert(left_.begin(), "machine " + things_.name + ": " + trouble_);
  }
}

std::string RehearsalEnd::trouble_of(const std::function<void()>& act) {
  try {
    act();
    return {};
  } catch (const Error& error) {
    return error.what();
  }
}

std::string cleaning_hint(const std::string& domain) {
  return "when that is put right: vmferry rehearse --clean " + shell_word(domain);
}

void clear_left(const std::string& domain, const RehearsalRecord& record,
                const RehearsalContext& context) {
  if (context.step) {
    context.step("removing what a rehearsal left that was killed");
  }
  RehearsalEnd end(*record.left(), context);
  end.stop_copy();
  end.remove_volumes();
  if (!end.left().empty()) {
    throw Error(
        {.kind = ErrorKind::kConflict,
         .object = "domain " + domain,
         .action = "rehearse",
         .cause = "what an earlier rehearsal left could not be removed: " + end.left().front(),
         .hint = cleaning_hint(domain)});
  }
  record.remove();
}

}  // namespace vmferry::rehearsal
