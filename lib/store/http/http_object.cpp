// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>

#include "lib/core/xxh64.h"
#include "lib/store/http/http_trouble.h"

namespace vmferry {
namespace {

using Clock = std::chrono::steady_clock;
using Part = ContentRange::Part;
using End = HttpOutcome::End;
using std::chrono::milliseconds;
using std::chrono::seconds;

// The header of an image is there. What follows it (refcounts) may not be wanted.
constexpr uint64_t kStart = 64 << 10;
// Whoever has just typed an address waits no longer for it.
constexpr seconds kFirstContact{30};
// A connection that is silent for so long is given up, and another one tried.
constexpr seconds kDeadConnection{30};
constexpr milliseconds kFirstPause{250};
constexpr milliseconds kLongestPause{10'000};
constexpr int kMostRedirects = 10;
// Of an answer that is none so much is read, for the connection to stay of use.
constexpr uint64_t kMostDrained = 64 << 10;

/// Does an answer to the question for the first bytes say that there are none?
bool is_empty(const HttpOutcome& outcome) {
  const HttpAnswer& answer = outcome.answer;
  if (answer.status == kHttpNoSuchRange) {
    return answer.range && answer.range->total == 0;
  }
  return answer.status == kHttpWhole && outcome.end == End::kDone && answer.length == 0;
}

/// Why it is not followed; empty: it is.
std::string fault_of_redirect(const std::string& from, const std::string& to) {
  const std::string origin = http_origin(to);
  if (origin.empty()) {
    return "it is redirected to what is not an address of a web server";
  }
  if (http_origin(from).starts_with("https:") && !origin.starts_with("https:")) {
    return "it is redirected from https to http, where anybody could change it on the way";
  }
  return {};
}

}  // namespace

/// How long a server is waited for that gives nothing.
class HttpObject::Patience {
 public:
  Patience(seconds limit, std::stop_token stop) : limit_(limit), stop_(std::move(stop)) {}

  void sign_of_life() {
    last_ = Clock::now();
    pause_ = kFirstPause;
  }
  seconds limit() const { return limit_; }
  /// How long one connection may be silent.
  milliseconds for_connection() const {
    return std::min<milliseconds>(milliseconds(limit_) / 2, kDeadConnection);
  }

  /// Waits a while, or as long as the server wants. False: that is too long.
  bool pause(seconds wanted) {
    const milliseconds time = std::max<milliseconds>(pause_, wanted);
    if (Clock::now() + time > last_ + limit_) {
      return false;
    }
    pause_ = std::min(pause_ * 2, kLongestPause);
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop_, time, [] { return false; });
    return true;
  }

 private:
  const seconds limit_;
  const std::stop_token stop_;
  Clock::time_point last_ = Clock::now();
  milliseconds pause_ = kFirstPause;
};

/// Takes the body of an answer, as long as it is what was asked for.
class HttpObject::PartTaker {
 public:
  /// `version`: null if it is not known yet.
  PartTaker(Part asked, const HttpVersion* version, Deliver deliver)
      : asked_(asked), version_(version), deliver_(std::move(deliver)) {}

  const Part& asked() const { return asked_; }
  const HttpVersion* version() const { return version_; }

  /// False: no more of it.
  bool take(const HttpAnswer& answer, std::span<const std::byte> bytes) {
    if (answer.status != kHttpPart) {
      return false;
    }
    has_begun_ = true;
    if (taken_ == 0) {
      change_ = version_ == nullptr ? "" : change_of(*version_, answer);
      fault_ = fault_of_part(answer, asked_,
                             version_ == nullptr ? std::nullopt : std::optional(version_->size));
    }
    if (fault_.empty() && bytes.size() > asked_.last - asked_.first + 1 - taken_) {
      fault_ = "the server sends more bytes than it had said";
    }
    if (!change_.empty() || !fault_.empty()) {
      return false;
    }
    deliver_(bytes);
    taken_ += bytes.size();
    return true;
  }
  /// The head of the answer is complete.
  bool has_begun() const { return has_begun_; }
  const std::string& change() const { return change_; }
  const std::string& fault() const { return fault_; }

 private:
  const Part asked_;
  const HttpVersion* const version_;
  const Deliver deliver_;
  bool has_begun_ = false;
  uint64_t taken_ = 0;
  std::string change_;  ///< the answer is about another version
  std::string fault_;   ///< it is not about what was asked
};

class HttpObject::AtWork {
 public:
  explicit AtWork(const HttpObject& object) : object_(object) {
    if (object_.at_work_++ == 0) {
      object_.pulse_.beat();
    }
  }
  AtWork(const AtWork&) = delete;
  AtWork& operator=(const AtWork&) = delete;
  ~AtWork() { --object_.at_work_; }

 private:
  const HttpObject& object_;
};

HttpObject::HttpObject(HttpLocation location, const NetworkOptions& network)
    : location_(std::move(location)),
      network_(network),
      pool_(network.http),
      resolved_url_(location_.url) {
  open();
}

void HttpObject::open() {
  const AtWork working(*this);
  Patience patience(std::min(kFirstContact, seconds(network_.http.stall_timeout)), network_.stop);
  read_start(patience);
  if (!version_.can_be_told()) {
    throw error_of({ErrorKind::kUnsupported,
                    "the server says neither an ETag nor when it was modified, so a change of it "
                    "would not be noticed",
                    kHttpPipeIt},
                   std::nullopt);
  }
  is_open_ = true;
}

/// The first bytes, and with them the version.
void HttpObject::read_start(Patience& patience) {
  for (;;) {
    start_.clear();
    PartTaker taker({0, kStart - 1}, nullptr, [this](std::span<const std::byte> bytes) {
      start_.insert(start_.end(), bytes.begin(), bytes.end());
    });
    const HttpOutcome outcome = ask(location_.url, taker, patience);
    const HttpAnswer& answer = outcome.answer;
    version_ = {0, answer.etag, answer.last_modified};
    if (answer.status == kHttpPart && (taker.has_begun() || outcome.end == End::kDone)) {
      const std::string fault = taker.fault().empty()
                                    ? fault_of_part(answer, taker.asked(), std::nullopt)
                                    : taker.fault();
      if (!fault.empty()) {
        throw error_of({ErrorKind::kUnsupported, fault, kHttpPipeIt}, std::nullopt);
      }
      version_.size = *answer.range->total;
      return;  // what did not come can be read later
    }
    if (is_empty(outcome)) {
      return;
    }
    if (!may_pass(outcome, is_open_) || !patience.pause(outcome.pause)) {
      throw error_of(trouble_of(outcome, is_open_), std::nullopt);
    }
  }
}

std::string HttpObject::stamp() const {
  // Signatures are in the query. Which object it is may be there as well.
  const size_t query = location_.url.find('?');
  const std::string which =
      query == std::string::npos
          ? ""
          : fmt::format(
                " ({:016x})",
                xxh64(std::as_bytes(std::span(std::string_view(location_.url).substr(query)))));
  return fmt::format(
      "{}{} of {} bytes, {}", location_.display, which, version_.size,
      version_.etag.empty() ? "modified " + version_.last_modified : "ETag " + version_.etag);
}

void HttpObject::read(uint64_t offset, uint64_t length, const Deliver& deliver) const {
  const AtWork working(*this);
  Patience patience(seconds(network_.http.stall_timeout), network_.stop);
  uint64_t done = 0;
  while (done < length) {
    PartTaker taker({offset + done, offset + length - 1}, &version_,
                    [&](std::span<const std::byte> bytes) {
                      deliver(bytes);
                      done += bytes.size();
                      patience.sign_of_life();
                      pulse_.beat();
                    });
    const std::string url = resolved_address();
    const HttpOutcome outcome = ask(url, taker, patience);
    if (!taker.change().empty()) {
      throw error_of({ErrorKind::kConflict, "it was changed meanwhile: " + taker.change(),
                      "start again; copy a version of it that stays as it is"},
                     std::nullopt);
    }
    if (!taker.fault().empty()) {
      throw error_of({ErrorKind::kIo, taker.fault(), kHttpPipeIt}, offset + done);
    }
    if (done == length) {
      continue;
    }
    if (forget_address(url) && is_http_refusal(outcome.answer.status)) {
      continue;
    }
    if (!may_pass(outcome, is_open_) || !patience.pause(outcome.pause)) {
      throw error_of(trouble_of(outcome, is_open_), offset + done);
    }
  }
}

void HttpObject::check_unchanged() const {
  if (version_.size > 0) {
    read(0, 1, [](std::span<const std::byte>) {});
    return;
  }
  const HttpObject now(location_, network_);
  if (now.stamp() != stamp()) {
    throw error_of({ErrorKind::kConflict, "it was changed meanwhile", "start again"}, std::nullopt);
  }
}

std::chrono::milliseconds HttpObject::silent_for() const {
  if (at_work_ == 0) {
    return {};
  }
  return std::chrono::duration_cast<milliseconds>(Clock::now() - pulse_.last());
}

HttpRequest HttpObject::request_of(const PartTaker& taker, const Patience& patience) const {
  HttpRequest request = {.url = {},
                         .user = {},
                         .password = {},
                         .range = taker.asked(),
                         .conditions = {},
                         .patience = patience.for_connection(),
                         .stop = network_.stop};
  if (const HttpVersion* version = taker.version()) {
    request.conditions.push_back(version->etag.empty()
                                     ? "If-Unmodified-Since: " + version->last_modified
                                     : "If-Match: " + version->etag);
  }
  return request;
}

/// One request to `url`, and those that redirects lead to.
HttpOutcome HttpObject::ask(const std::string& url, PartTaker& taker,
                            const Patience& patience) const {
  HttpRequest request = request_of(taker, patience);
  request.url = url;
  uint64_t drained = 0;
  const auto body = [&](const HttpAnswer& answer, std::span<const std::byte> bytes) {
    if (answer.status == kHttpWhole || answer.status == kHttpPart) {
      return taker.take(answer, bytes);
    }
    drained += bytes.size();
    return drained <= kMostDrained;
  };
  const HttpPool::Borrowed connection = pool_.borrow(network_.stop);
  for (int redirects = 0;; ++redirects) {
    const bool is_told = http_origin(request.url) == http_origin(location_.url);
    request.user = is_told ? location_.user : "";
    request.password = is_told ? location_.password : "";
    HttpOutcome outcome = connection->get(request, body);
    if (outcome.end == End::kStopped) {
      throw cancelled_error();
    }
    if (redirects > 0 && outcome.answer.status == kHttpPart) {
      settle_address(request.url);
    }
    if (!is_http_redirect(outcome.answer.status)) {
      return outcome;
    }
    outcome.cause = redirects == kMostRedirects
                        ? fmt::format("it is redirected more than {} times", kMostRedirects)
                        : fault_of_redirect(request.url, outcome.redirect);
    if (!outcome.cause.empty()) {
      return outcome;
    }
    request.url = outcome.redirect;
  }
}

std::string HttpObject::resolved_address() const {
  const std::lock_guard lock(mutex_);
  return resolved_url_;
}

void HttpObject::settle_address(const std::string& url) const {
  const std::lock_guard lock(mutex_);
  resolved_url_ = url;
}

/// `url` did not do. What a redirect led to may be signed for a time only, or gone, and the server
/// may know another place: the original address is asked, unless another thread has found a new
/// place already. False: that was the original address.
bool HttpObject::forget_address(const std::string& url) const {
  if (url == location_.url) {
    return false;
  }
  const std::lock_guard lock(mutex_);
  if (resolved_url_ == url) {
    resolved_url_ = location_.url;
  }
  return true;
}

Error HttpObject::error_of(const HttpTrouble& trouble, std::optional<uint64_t> offset) const {
  return Error({.kind = trouble.kind,
                .object = location_.display,
                .action = is_open_ ? "read" : "open",
                .offset = offset,
                .cause = trouble.cause,
                .hint = trouble.hint});
}

}  // namespace vmferry
