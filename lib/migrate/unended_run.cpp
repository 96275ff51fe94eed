// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

#include "lib/core/shell_word.h"
#include "lib/core/unique_fd.h"
#include "lib/migrate/journal.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"

// A run that left its journal, or is at work still: what the next one is told.

namespace vmferry {
namespace migrate {
namespace {

/// How a run of a kind is told of.
struct RunWords {
  const char* command;
  const char* did_not_end;
  const char* is_at_work;
};

RunWords words_of(RunKind kind) {
  switch (kind) {
    case RunKind::kSync:
      return {"sync", "a sync of it did not end", "another vmferry is synchronising it"};
    case RunKind::kCutover:
      return {"cutover", "a cutover of it did not end", "another vmferry is cutting it over"};
    case RunKind::kStop:
      return {"sync", "its warm move was being given up, and that did not end",
              "another vmferry is giving its warm move up"};
    case RunKind::kMove:
      break;
  }
  return {"migrate", "an earlier run did not end", "another vmferry is migrating this domain"};
}

Error first_that(const std::string& domain, const std::string& cause, const std::string& hint) {
  return Error({.kind = ErrorKind::kConflict,
                .object = "domain " + domain,
                .action = "begin another run",
                .cause = cause,
                .hint = hint});
}

}  // namespace

std::string recover_command(RunKind kind, const std::string& domain, const std::string& state_dir,
                            const std::string& option) {
  std::string command = std::string("vmferry ") + words_of(kind).command + " --recover ";
  if (!option.empty()) {
    command += option + " ";
  }
  command += shell_word(domain);
  if (state_dir != default_state_dir()) {
    command += " --state-dir " + shell_word(state_dir);
  }
  return command;
}

/// A shared lock, for a moment.
bool is_locked(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd.valid() && ::flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Error unended_run(RunKind kind, const std::string& domain, const std::string& state_dir) {
  return first_that(domain,
                    std::string(words_of(kind).did_not_end) + "; its journal is " +
                        journal_path(domain, state_dir),
                    "end that one first: " + recover_command(kind, domain, state_dir));
}

}  // namespace migrate

MigrateRequest recorded_request(const std::string& domain, const std::string& state_dir) {
  return migrate::Journal::read_plan(domain, state_dir).request;
}

RunKind recorded_kind(const std::string& domain, const std::string& state_dir) {
  return migrate::Journal::read_plan(domain, state_dir).kind;
}

std::optional<RunKind> unended_kind(const std::string& domain, const std::string& state_dir) {
  try {
    return recorded_kind(domain, state_dir);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kNotFound) {
      return std::nullopt;
    }
    throw;
  }
}

void require_ended(const std::string& domain, const std::string& state_dir) {
  using namespace migrate;  // NOLINT(google-build-using-namespace)
  const std::optional<RunKind> kind = unended_kind(domain, state_dir);
  if (!kind) {
    return;
  }
  if (is_locked(journal_path(domain, state_dir) + ".lock")) {
    throw first_that(domain, words_of(*kind).is_at_work, "wait until that has ended");
  }
  throw unended_run(*kind, domain, state_dir);
}

}  // namespace vmferry
