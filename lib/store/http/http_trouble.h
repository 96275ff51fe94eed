// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/store/http/http_connection.h"
#include "vmferry/error.h"

namespace vmferry {

// What the end of a request means to who wanted a part of an object. RFC 9110, 15 has the numbers.

constexpr int kHttpWhole = 200;
constexpr int kHttpPart = 206;
constexpr int kHttpNoSuchRange = 416;

/// What is wrong, in the parts of an Error.
struct HttpTrouble {
  ErrorKind kind = ErrorKind::kIo;
  std::string cause;
  std::string hint = {};
};

inline constexpr const char* kHttpPipeIt =
    "if the server cannot do better, download the file, or pipe a raw disk: "
    "curl ADDRESS | vmferry convert - TARGET";

bool is_http_redirect(int status);

/// Does the server say that this is not there, or not for us? Stores of objects say 400, too, where
/// a signature or token is no longer valid (Amazon S3: ExpiredToken).
bool is_http_refusal(int status);

/// May the same request succeed a little later? `was_reached`: the server has answered before.
bool may_pass(const HttpOutcome& outcome, bool was_reached);

/// `was_reached` as above. REQUIRES: not all that was wanted came.
HttpTrouble trouble_of(const HttpOutcome& outcome, bool was_reached);

}  // namespace vmferry
