// SPDX-License-Identifier: LGPL-2.1-or-later
#include <curl/curl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "lib/store/http/http.h"
#include "lib/store/http/http_object.h"
#include "lib/store/http/read_cache.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

class HttpSource : public Source {
 public:
  HttpSource(const HttpLocation& location, const NetworkOptions& network)
      : object_(location, network),
        cache_(object_.version().size,
               [this](uint64_t offset, uint64_t length, const ReadCache::Deliver& deliver) {
                 object_.read(offset, length, deliver);
               }) {
    cache_.put_start(object_.start());
  }

  const std::string& name() const override { return object_.name(); }
  uint64_t size() const override { return object_.version().size; }
  /// A server does not tell where its files have holes.
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return {offset, max, ExtentKind::kData};
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    cache_.read(offset, out);
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    try {
      cache_.announce(offset, length);
    } catch (const std::bad_alloc&) {
      return;  // only a wish
    }
  }
  void check_unchanged() const override { object_.check_unchanged(); }
  void check_still_there() const override { object_.check_unchanged(); }
  std::string stamp() const override { return object_.stamp(); }
  std::chrono::milliseconds silent_for() const override { return object_.silent_for(); }

 private:
  const HttpObject object_;
  mutable ReadCache cache_;
};

/// libcurl takes a netrc file that it cannot read for an empty one.
void require_readable(const std::string& path) {
  if (!path.empty() && ::access(path.c_str(), R_OK) != 0) {
    throw errno_error(errno, path, "read");
  }
}

}  // namespace

std::string libcurl_version() { return curl_version_info(CURLVERSION_NOW)->version; }

OpenBytes open_http_source(const HttpLocation& location, const NetworkOptions& network) {
  require_readable(network.http.cacert);
  require_readable(network.http.netrc_file);
  return {.source = std::make_unique<HttpSource>(location, network),
          .identity = {"http " + location.url}};
}

}  // namespace vmferry
