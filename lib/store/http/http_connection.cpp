// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/http/http_connection.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>

#include "lib/core/printable.h"

namespace vmferry {
namespace {

using Clock = std::chrono::steady_clock;
using End = HttpOutcome::End;

constexpr long kReceiveBuffer = 256 << 10;  // bytes; libcurl's own is 16 KiB
constexpr std::chrono::seconds kLongestRetryAfter = std::chrono::hours(24 * 365);

struct EasyCleaner {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct ListCleaner {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeadLines = std::unique_ptr<curl_slist, ListCleaner>;

void add_line(HeadLines& lines, const std::string& line) {
  curl_slist* longer = curl_slist_append(lines.get(), line.c_str());
  if (longer == nullptr) {
    throw std::bad_alloc();
  }
  (void)lines.release();
  lines.reset(longer);
}

End end_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return End::kDone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return End::kUnreachable;
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SSL_CONNECT_ERROR:
      return End::kTransient;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return End::kUntrusted;
    default:
      return End::kFailed;
  }
}

/// Of Retry-After, which is a number of seconds or a date (RFC 9110, 10.2.3); libcurl reads both.
std::chrono::seconds pause_after(CURL* easy) {
  curl_off_t seconds = 0;
  curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &seconds);
  return std::chrono::seconds(std::clamp<curl_off_t>(seconds, 0, kLongestRetryAfter.count()));
}

}  // namespace

struct HttpConnection::State {
  std::unique_ptr<CURL, EasyCleaner> easy;
  char said[CURL_ERROR_SIZE] = {};

  // Of one request.
  const HttpRequest* request = nullptr;
  const Body* body = nullptr;
  HttpAnswer answer;
  Clock::time_point last_sign;  // of the server
  bool was_silent = false;
  bool was_unwanted = false;
  std::exception_ptr thrown;

  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_easy_setopt(easy.get(), option, value);
    if (code == CURLE_OUT_OF_MEMORY) {
      throw std::bad_alloc();
    }
  }

  static size_t on_head(char* line, size_t size, size_t count, void* self) {
    auto& state = *static_cast<State*>(self);
    state.last_sign = Clock::now();
    return state.guarded(size * count, [&] {
      read_head_line(state.answer, {line, size * count});
      return true;
    });
  }

  static size_t on_body(char* bytes, size_t size, size_t count, void* self) {
    auto& state = *static_cast<State*>(self);
    state.last_sign = Clock::now();
    return state.guarded(size * count, [&] {
      return (*state.body)(state.answer, std::as_bytes(std::span(bytes, size * count)));
    });
  }

  /// The number that tells libcurl to go on, if `work` wants that. Nothing may be thrown through C.
  template <typename Work>
  size_t guarded(size_t length, const Work& work) {
    try {
      if (work()) {
        return length;
      }
      was_unwanted = true;
    } catch (...) {
      thrown = std::current_exception();
    }
    return length + 1;
  }

  /// Called now and then, at least once a second.
  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& state = *static_cast<State*>(self);
    state.was_silent = Clock::now() - state.last_sign > state.request->patience;
    return state.was_silent || state.request->stop.stop_requested() ? 1 : 0;
  }
};

HttpConnection::HttpConnection(const HttpOptions& options) : state_(std::make_unique<State>()) {
  static const CURLcode kStarted = curl_global_init(CURL_GLOBAL_DEFAULT);
  state_->easy.reset(kStarted == CURLE_OK ? curl_easy_init() : nullptr);
  if (!state_->easy) {
    throw std::bad_alloc();
  }
  State& state = *state_;
  state.set(CURLOPT_NOSIGNAL, 1L);
  state.set(CURLOPT_ERRORBUFFER, state.said);
  state.set(CURLOPT_PROTOCOLS_STR, "http,https");
  state.set(CURLOPT_FOLLOWLOCATION, 0L);
  state.set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  state.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  state.set(CURLOPT_TCP_KEEPALIVE, 1L);
  state.set(CURLOPT_BUFFERSIZE, kReceiveBuffer);
  state.set(CURLOPT_USERAGENT, "vmferry");
  state.set(CURLOPT_HEADERFUNCTION, &State::on_head);
  state.set(CURLOPT_HEADERDATA, &state);
  state.set(CURLOPT_WRITEFUNCTION, &State::on_body);
  state.set(CURLOPT_WRITEDATA, &state);
  state.set(CURLOPT_XFERINFOFUNCTION, &State::on_progress);
  state.set(CURLOPT_XFERINFODATA, &state);
  state.set(CURLOPT_NOPROGRESS, 0L);
  if (!options.cacert.empty()) {
    state.set(CURLOPT_CAINFO, options.cacert.c_str());
    state.set(CURLOPT_CAPATH, nullptr);
  }
  if (!options.netrc_file.empty()) {
    state.set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_OPTIONAL));
    state.set(CURLOPT_NETRC_FILE, options.netrc_file.c_str());
  }
}

HttpConnection::~HttpConnection() = default;

HttpOutcome HttpConnection::get(const HttpRequest& request, const Body& body) {
  State& state = *state_;
  HeadLines lines;
  add_line(lines, "Accept-Encoding: identity");
  for (const std::string& condition : request.conditions) {
    add_line(lines, condition);
  }
  const std::string range = fmt::format("{}-{}", request.range.first, request.range.last);
  const bool has_user = !request.user.empty();
  state.set(CURLOPT_URL, request.url.c_str());
  state.set(CURLOPT_USERNAME, has_user ? request.user.c_str() : nullptr);
  state.set(CURLOPT_PASSWORD, has_user ? request.password.c_str() : nullptr);
  state.set(CURLOPT_HTTPHEADER, lines.get());
  state.set(CURLOPT_RANGE, range.c_str());
  state.set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.patience.count()));

  state.request = &request;
  state.body = &body;
  state.answer = HttpAnswer();
  state.last_sign = Clock::now();
  state.was_silent = state.was_unwanted = false;
  state.thrown = nullptr;
  state.said[0] = '\0';
  const CURLcode code = curl_easy_perform(state.easy.get());
  state.set(CURLOPT_HTTPHEADER, nullptr);
  if (state.thrown) {
    std::rethrow_exception(state.thrown);
  }
  if (code == CURLE_OUT_OF_MEMORY) {
    throw std::bad_alloc();
  }

  HttpOutcome outcome;
  outcome.answer = state.answer;
  outcome.pause = pause_after(state.easy.get());
  outcome.end = end_of(code);
  outcome.cause = printable(state.said[0] == '\0' ? curl_easy_strerror(code) : state.said);
  if (state.was_unwanted) {
    outcome.end = End::kUnwanted;
  } else if (code == CURLE_ABORTED_BY_CALLBACK) {
    outcome.end = state.was_silent ? End::kTransient : End::kStopped;
    outcome.cause =
        fmt::format("no answer for {:.3g} s", static_cast<double>(request.patience.count()) / 1000);
  }
  const char* redirect = nullptr;
  if (curl_easy_getinfo(state.easy.get(), CURLINFO_REDIRECT_URL, &redirect) == CURLE_OK &&
      redirect != nullptr) {
    outcome.redirect = redirect;
  }
  return outcome;
}

}  // namespace vmferry
