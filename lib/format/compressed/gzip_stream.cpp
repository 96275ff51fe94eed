// SPDX-License-Identifier: LGPL-2.1-or-later
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <vector>

#include "lib/core/forwarding_stream.h"
#include "lib/format/compressed/unpack.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr size_t kPackedAtOnce = 256 << 10;
constexpr int kGzipOnly = 16;  // of inflateInit2: no other header than gzip's

class GzipStream : public ForwardingStream {
 public:
  explicit GzipStream(std::unique_ptr<ByteStream> packed)
      : ForwardingStream(std::move(packed)), input_(kPackedAtOnce) {
    if (::inflateInit2(&zlib_, MAX_WBITS + kGzipOnly) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  GzipStream(const GzipStream&) = delete;
  GzipStream& operator=(const GzipStream&) = delete;
  ~GzipStream() override { ::inflateEnd(&zlib_); }

  std::optional<uint64_t> size() const override { return std::nullopt; }

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
    if (zlib_.avail_in == 0 && !input_ended_) {
      const size_t got = ForwardingStream::read(input_, stop);
      input_ended_ = got < input_.size();
      zlib_.next_in = reinterpret_cast<Bytef*>(input_.data());
      zlib_.avail_in = static_cast<uInt>(got);
      taken_ += got;
    }
    if (zlib_.avail_in > 0) {
      return true;
    }
    if (in_member_) {
      throw broken("it ends in the middle", "it was cut: fetch or make it again");
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
      return broken("the compressed data ends before this, and something else follows",
                    "if that is meant, cut it off first");
    }
    return broken(zlib_.msg != nullptr ? zlib_.msg : "it is damaged",
                  "it is damaged: fetch or make it again");
  }

  /// The byte is one of the compressed stream.
  Error broken(std::string cause, std::string hint) const {
    return Error({.kind = ErrorKind::kCorrupt,
                  .object = name(),
                  .action = "unpack (gzip)",
                  .offset = taken_ - zlib_.avail_in,
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

  z_stream zlib_ = {};
  std::vector<std::byte> input_;
  uint64_t taken_ = 0;
  uint64_t members_ = 0;
  bool in_member_ = true;
  bool input_ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> unpack_gzip(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<GzipStream>(std::move(packed));
}

}  // namespace vmferry
