// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

#include "vmferry/api.h"

namespace VMFERRY_API vmferry {

/// Why something failed, in the few classes a caller can act on.
enum class ErrorKind {
  kUsage,        ///< the request makes no sense as it was put
  kNotFound,     ///< a file, pool, image or snapshot does not exist
  kUnsupported,  ///< valid, but not for this build, kernel or version
  kCorrupt,      ///< the image contradicts its format
  kIo,           ///< the store failed: a system or library call returned an error
  kConflict,     ///< something else is in the way: it exists already, or is in use
  kCancelled,    ///< the stop token was triggered
};

/// What a failure message is made of. `object` is the file, device or volume as the user named it;
/// `action` what was being done to it; `offset` where (bytes); `cause` why it failed; `hint` what
/// to do about it (one sentence, may be empty).
struct ErrorParts {
  ErrorKind kind = ErrorKind::kIo;
  std::string object;
  std::string action;
  std::optional<uint64_t> offset = std::nullopt;
  std::string cause;
  std::string hint = {};
};

/// The one exception type that leaves this library. what() is "object: action at offset: cause".
/// Immutable after construction: any thread may read it.
class Error : public std::exception {
 public:
  explicit Error(ErrorParts parts);

  const char* what() const noexcept override { return message_.c_str(); }
  ErrorKind kind() const noexcept { return parts_.kind; }
  const std::string& hint() const noexcept { return parts_.hint; }
  const ErrorParts& parts() const noexcept { return parts_; }

 private:
  ErrorParts parts_;
  std::string message_;
};

/// An Error from a positive errno value; the kind follows from the value (ENOENT is kNotFound ...),
/// and the common ones bring a hint.
Error errno_error(int errno_value, std::string object, std::string action,
                  std::optional<uint64_t> offset = std::nullopt);

/// What a caught exception says, as an Error: itself; no memory; what the system or the file system
/// said; or, of all others, that it should not have come this far.
Error as_error(const std::exception& exception);

/// The Error that every part of the library throws when its stop token was triggered.
Error cancelled_error();

}  // namespace VMFERRY_API vmferry
