// SPDX-License-Identifier: LGPL-2.1-or-later
#include <lzma.h>

#include <new>

#include "lib/core/format_bytes.h"
#include "lib/format/compressed/packed_stream.h"
#include "lib/format/compressed/unpack.h"

namespace vmferry {
namespace {

// The file says how much it wants: up to 4 GiB. What xz -9 packs wants 65 MiB (xz(1)).
constexpr uint64_t kXzMemory = 256 << 20;

class XzStream : public PackedStream {
 public:
  explicit XzStream(std::unique_ptr<ByteStream> packed) : PackedStream(std::move(packed), "xz") {
    if (::lzma_stream_decoder(&lzma_, kXzMemory, LZMA_CONCATENATED | LZMA_TELL_UNSUPPORTED_CHECK) !=
        LZMA_OK) {
      throw std::bad_alloc();
    }
  }
  XzStream(const XzStream&) = delete;
  XzStream& operator=(const XzStream&) = delete;
  ~XzStream() override { ::lzma_end(&lzma_); }

  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    lzma_.next_out = reinterpret_cast<uint8_t*>(out.data());
    lzma_.avail_out = out.size();
    while (!ended_ && lzma_.avail_out > 0) {
      if (lzma_.avail_in == 0 && !input_ended()) {
        const auto more = take_more(stop);
        lzma_.next_in = reinterpret_cast<const uint8_t*>(more.data());
        lzma_.avail_in = more.size();
      }
      unpack_some();
    }
    return out.size() - lzma_.avail_out;
  }

 private:
  void unpack_some() {
    const lzma_ret rc = ::lzma_code(&lzma_, input_ended() ? LZMA_FINISH : LZMA_RUN);
    if (rc == LZMA_STREAM_END) {
      ended_ = true;
    } else if (rc == LZMA_MEM_ERROR) {
      throw std::bad_alloc();
    } else if (rc != LZMA_OK) {
      throw refused(rc);
    }
  }

  Error refused(lzma_ret rc) const {
    const uint64_t at = taken() - lzma_.avail_in;
    switch (rc) {
      case LZMA_BUF_ERROR:
        return broken(at, "it ends in the middle", "it was cut: fetch or make it again");
      case LZMA_MEMLIMIT_ERROR:
        return broken(at,
                      "it wants " + about_bytes(::lzma_memusage(&lzma_)) +
                          " of memory to be unpacked, and no more than " + exact_bytes(kXzMemory) +
                          " are given",
                      "unpack it first", ErrorKind::kUnsupported);
      case LZMA_OPTIONS_ERROR:
      case LZMA_UNSUPPORTED_CHECK:
        return broken(at, "it uses what this liblzma does not know", "unpack it first",
                      ErrorKind::kUnsupported);
      default:
        return broken(at, "it is damaged, or something else follows the compressed data",
                      "fetch or make it again, or cut off what follows");
    }
  }

  lzma_stream lzma_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> unpack_xz(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<XzStream>(std::move(packed));
}

}  // namespace vmferry
