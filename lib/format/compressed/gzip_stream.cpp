// SPDX-License-Identifier: LGPL-2.1-or-later
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>

#include "lib/format/compressed/packed_stream.h"
#include "lib/format/compressed/unpack.h"

namespace vmferry {
namespace {

constexpr int kGzipOnly = 16;  // of inflateInit2: no other header than gzip's

class GzipStream : public PackedStream {
 public:
  explicit GzipStream(std::unique_ptr<ByteStream> packed)
      : PackedStream(std::move(packed), "gzip") {
    if (::inflateInit2(&zlib_, MAX_WBITS + kGzipOnly) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;
  ~GzipStream() override { ::inflateEnd(&zlib_); }

  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    size_t length = 0;
    while (length < out.size() && has_more(stop)) {
      length += inflate_some(out.subspan(length));
    }
    return length;
  }

 private:
  /// False: the last member has ended, and so has the input.
  bool has_more(const std::stop_token& stop) {
    if (zlib_.avail_in == 0 && !input_ended()) {
      const auto more = take_more(stop);
      zlib_.next_in = reinterpret_cast<Bytef*>(more.data());
      zlib_.avail_in = static_cast<uInt>(more.size());
    }
    if (zlib_.avail_in > 0) {
      return true;
    }
    if (in_member_) {
      throw broken(at(), "it ends in the middle", "it was cut: fetch or make it again");
    }
    return false;
  }

  size_t inflate_some(std::span<std::byte> out) {
    in_member_ = true;
    zlib_.next_out = reinterpret_cast<Bytef*>(out.data());
    const auto room =
        static_cast<uInt>(std::min<size_t>(out.size(), std::numeric_limits<uInt>::max()));
    zlib_.avail_out = room;
    const int rc = ::inflate(&zlib_, Z_NO_FLUSH);
    if (rc == Z_STREAM_END) {
      in_member_ = false;
      ++members_;
      ::inflateReset(&zlib_);
    } else if (rc == Z_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
      throw refused();
    }
    return room - zlib_.avail_out;
  }

  Error refused() const {
    if (members_ > 0 && zlib_.total_out == 0) {
      return broken(at(), "the compressed data ends before this, and something else follows",
                    "if that is meant, cut it off first");
    }
    return broken(at(), zlib_.msg != nullptr ? zlib_.msg : "it is damaged",
                  "it is damaged: fetch or make it again");
  }

  uint64_t at() const { return taken() - zlib_.avail_in; }

  z_stream zlib_ = {};
  uint64_t members_ = 0;
  bool in_member_ = true;
};

}  // namespace

std::unique_ptr<ByteStream> unpack_gzip(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<GzipStream>(std::move(packed));
}

}  // namespace vmferry
