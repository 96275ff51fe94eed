// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/store/http/http_answer.h"
#include "vmferry/http.h"

namespace vmferry {

/// One request for a range. It follows no redirect.
struct HttpRequest {
  std::string url;
  std::string user;  ///< empty: of the netrc file, if that has one for the host
  std::string password;
  ContentRange::Part range;
  std::vector<std::string> conditions;  ///< lines of the head: "If-Match: ..."
  /// How long the server may be silent.
  std::chrono::milliseconds patience;
  std::stop_token stop;
};

/// How a request ended.
struct HttpOutcome {
  enum class End {
    kDone,         ///< the server ended its answer
    kUnwanted,     ///< whoever got the body wanted no more of it
    kStopped,      ///< the stop token was triggered
    kTransient,    ///< the connection failed, in a way that may pass
    kUnreachable,  ///< there is no connection: nobody listens, or the name is not known
    kUntrusted,    ///< the server did not prove who it is
    kFailed,       ///< it failed for good in another way
  };
  End end = End::kFailed;
  HttpAnswer answer;
  /// How long the server wants not to be asked; zero: it says nothing of that, or it is over.
  std::chrono::seconds pause{0};
  std::string redirect;  ///< where the server sends us; empty: nowhere
  std::string cause;     ///< what libcurl said of a failure
};

/// A connection to a web server that is kept alive from request to request. One thread at a time.
class HttpConnection {
 public:
  /// Gets the body, as it comes, when the head is complete. False: no more of it is wanted.
  using Body = std::function<bool(const HttpAnswer& answer, std::span<const std::byte> bytes)>;

  explicit HttpConnection(const HttpOptions& options);
  ~HttpConnection();

  /// Throws what `body` throws, and no memory; all else is an outcome.
  HttpOutcome get(const HttpRequest& request, const Body& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vmferry
