// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_trouble.h"

#include <fmt/format.h>

namespace vmferry {
namespace {

using End = HttpOutcome::End;

constexpr const char* kWaitLonger = "--stall-timeout SECONDS lets a copy wait longer";

constexpr int kBadRequest = 400;
constexpr int kUnauthorized = 401;
constexpr int kForbidden = 403;
constexpr int kNotThere = 404;
constexpr int kGone = 410;
constexpr int kPreconditionFailed = 412;

/// Says a server that is busy, or one before it, of one that is.
bool is_passing(int status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

}  // namespace

bool is_http_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_http_refusal(int status) {
  return status == kBadRequest || status == kUnauthorized || status == kForbidden ||
         status == kNotThere || status == kGone;
}

bool may_pass(const HttpOutcome& outcome, bool was_reached) {
  const int status = outcome.answer.status;
  if (status != 0 && status != kHttpPart) {
    return is_passing(status);
  }
  // A part that ended early as well: the rest is asked for.
  return outcome.end == End::kTransient || outcome.end == End::kDone ||
         (outcome.end == End::kUnreachable && was_reached);
}

namespace {

HttpTrouble trouble_itself(const HttpOutcome& outcome) {
  const int status = outcome.answer.status;
  const std::string number = fmt::format(" (status {})", status);
  if (is_http_redirect(status)) {
    return {ErrorKind::kUnsupported, outcome.cause, "give the final address"};
  }
  if (is_passing(status)) {
    const auto seconds = outcome.pause.count();
    return {ErrorKind::kIo,
            "the server is out of order or busy" + number +
                (seconds > 0 ? fmt::format(" and says: again in {} s", seconds) : ""),
            "try again later"};
  }
  switch (status) {
    case 0:
      return {ErrorKind::kIo, outcome.cause,
              outcome.end == End::kUntrusted
                  ? "pass --cacert FILE with the certificate of the authority that vouches for it"
                  : ""};
    case kHttpWhole:
      return {ErrorKind::kUnsupported,
              "the server sends the whole file where a part of it was asked for" + number,
              kHttpPipeIt};
    case kHttpPart:
      return {ErrorKind::kIo,
              outcome.end == End::kDone ? "the server ended its answer early" : outcome.cause, ""};
    case kUnauthorized:
      return {ErrorKind::kIo, "the server wants a user and a password" + number,
              "put them into a file that only you may read, as netrc(5) says, and pass "
              "--netrc-file FILE"};
    case kForbidden:
      return {ErrorKind::kIo, "the server does not give it" + number,
              "a signed address is valid for a time only: get a new one; or pass --netrc-file FILE "
              "with a user who may read it"};
    case kNotThere:
    case kGone:
      return {ErrorKind::kNotFound, "the server has nothing at this address" + number, ""};
    case kPreconditionFailed:
      return {ErrorKind::kConflict, "it was changed meanwhile" + number,
              "start again; copy a version of it that stays as it is"};
    case kHttpNoSuchRange:
      return {ErrorKind::kIo, "the server says that it has no such bytes" + number, kHttpPipeIt};
    default:
      return {ErrorKind::kIo, fmt::format("the server answers with status {}", status), ""};
  }
}

}  // namespace

HttpTrouble trouble_of(const HttpOutcome& outcome, bool was_reached) {
  HttpTrouble trouble = trouble_itself(outcome);
  if (was_reached && may_pass(outcome, was_reached)) {
    trouble.hint += (trouble.hint.empty() ? "" : "; ") + std::string(kWaitLonger);
  }
  return trouble;
}

}  // namespace vmferry
