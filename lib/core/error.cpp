// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/error.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <new>
#include <system_error>

#include "lib/core/format_bytes.h"
#include "lib/core/threads.h"

namespace vmferry {
namespace {

std::string compose(const ErrorParts& parts) {
  std::string message = parts.object;
  auto append = [&message](const std::string& text) {
    if (!message.empty() && !text.empty()) {
      message += ": ";
    }
    message += text;
  };
  std::string action = parts.action;
  if (parts.offset) {
    action = fmt::format("{} at {}", action, exact_bytes(*parts.offset));
  }
  append(action);
  append(parts.cause);
  return message;
}

ErrorKind kind_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO:
      return ErrorKind::kNotFound;
    case EEXIST:
    case EBUSY:
    case ETXTBSY:
      return ErrorKind::kConflict;
    case EOPNOTSUPP:
    case ENOSYS:
      return ErrorKind::kUnsupported;
    default:
      return ErrorKind::kIo;
  }
}

std::string hint_for(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
      return "free some space, or choose a target elsewhere";
    case EDQUOT:
      return "raise the quota, or choose a target elsewhere";
    case EACCES:
    case EPERM:
      return "check the permissions, or run as a user who may do this";
    case EROFS:
      return "the file system is mounted read-only; choose a target elsewhere";
    case EFBIG:
      return "see the limit on the size of files (ulimit -f, LimitFSIZE= of a service), or choose "
             "another file system";
    case EMFILE:
      return "raise the limit on open files (ulimit -n, LimitNOFILE= of a service)";
    case ENOMEM:
      return "free some memory, or raise the limit on it (ulimit -v)";
    default:
      return {};
  }
}

}  // namespace

Error::Error(ErrorParts parts) : parts_(std::move(parts)), message_(compose(parts_)) {}

Error errno_error(int errno_value, std::string object, std::string action,
                  std::optional<uint64_t> offset) {
  return Error({.kind = kind_of(errno_value),
                .object = std::move(object),
                .action = std::move(action),
                .offset = offset,
                .cause = std::strerror(errno_value),
                .hint = hint_for(errno_value)});
}

Error no_thread_error(const std::system_error& cause) {
  return Error({.kind = ErrorKind::kIo,
                .object = {},
                .action = "cannot start a thread",
                .cause = cause.code().message(),
                .hint = "a limit is reached: on processes and threads (ulimit -u, TasksMax= of a "
                        "service, pids.max of a container), or on memory (ulimit -v)"});
}

Error as_error(const std::exception& exception) {
  if (const auto* error = dynamic_cast<const Error*>(&exception)) {
    return *error;
  }
  if (const auto* file = dynamic_cast<const std::filesystem::filesystem_error*>(&exception)) {
    return errno_error(file->code().value(), file->path1().string(), "look at");
  }
  ErrorParts parts;
  if (dynamic_cast<const std::bad_alloc*>(&exception) != nullptr) {
    parts.cause = "out of memory";
    parts.hint = "fewer jobs (-j 1) need less; or raise the limit on memory (ulimit -v)";
  } else if (dynamic_cast<const std::system_error*>(&exception) != nullptr) {
    parts.cause = exception.what();
  } else {
    parts.cause = fmt::format("internal error: {}", exception.what());
    parts.hint = "please report this";
  }
  return Error(std::move(parts));
}

Error cancelled_error() {
  return Error({.kind = ErrorKind::kCancelled, .object = {}, .action = {}, .cause = "interrupted"});
}

}  // namespace vmferry
