// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/cluster_codec.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <cstring>
#include <memory>
#include <new>

namespace vmferry {
namespace {

// 128 MiB, the limit of the library's streaming interface, which QEMU uses.
constexpr unsigned kMaxZstdWindowLog = 27;

struct FreeDeflate {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

libdeflate_decompressor* thread_deflate() {
  thread_local std::unique_ptr<libdeflate_decompressor, FreeDeflate> decompressor(
      libdeflate_alloc_decompressor());
  if (!decompressor) {
    decompressor.reset(libdeflate_alloc_decompressor());
  }
  if (!decompressor) {
    throw std::bad_alloc();
  }
  return decompressor.get();
}

ZSTD_DCtx* thread_zstd() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeZstd> context;
  if (!context) {
    context.reset(ZSTD_createDCtx());
    if (!context) {
      throw std::bad_alloc();
    }
  }
  return context.get();
}

// zlib stops as soon as the cluster is full, whatever the stream would do next. libdeflate needs a
// stream that ends there, so this is the judge of everything libdeflate cannot take.
std::string_view inflate_first_cluster(std::span<const std::byte> in, std::span<std::byte> out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) {
    throw std::bad_alloc();
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  if (result == Z_MEM_ERROR) {
    throw std::bad_alloc();
  }
  if (result == Z_DATA_ERROR || result == Z_NEED_DICT) {
    return "the deflate stream is damaged";
  }
  if (stream.avail_out == 0) {
    return {};
  }
  return result == Z_STREAM_END ? "the deflate stream gives less than a cluster"
                                : "the deflate stream is cut short";
}

std::string_view decompress_deflate(std::span<const std::byte> in, std::span<std::byte> out) {
  const auto result = libdeflate_deflate_decompress(thread_deflate(), in.data(), in.size(),
                                                    out.data(), out.size(), nullptr);
  return result == LIBDEFLATE_SUCCESS ? std::string_view() : inflate_first_cluster(in, out);
}

// RFC 8878, 3.1.1.1: does the frame say that decompressing it as a stream takes more than that?
bool wants_large_window(std::span<const std::byte> frame) {
  constexpr uint8_t kMagic[] = {0x28, 0xb5, 0x2f, 0xfd};
  constexpr auto kSingleSegment = std::byte{0x20};
  if (frame.size() < 6 || std::memcmp(frame.data(), kMagic, sizeof kMagic) != 0) {
    return false;
  }
  if ((frame[4] & kSingleSegment) != std::byte{0}) {
    return false;
  }
  const auto window = std::to_integer<unsigned>(frame[5]);
  const unsigned log = 10 + (window >> 3);
  return log > kMaxZstdWindowLog || (log == kMaxZstdWindowLog && (window & 7) != 0);
}

std::string_view zstd_fault(size_t result) {
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_srcSize_wrong:
      return "the zstd stream is cut short";
    case ZSTD_error_dstSize_tooSmall:
      return "the zstd frame gives more than a cluster";
    default:
      return "the zstd stream is damaged";
  }
}

// Frame by frame, straight into the cluster: so it takes no window of its own, whatever a frame
// asks for.
std::string_view decompress_zstd(std::span<const std::byte> in, std::span<std::byte> out) {
  while (!out.empty()) {
    const size_t frame = ZSTD_findFrameCompressedSize(in.data(), in.size());
    if (ZSTD_isError(frame)) {
      return zstd_fault(frame);
    }
    if (wants_large_window(in)) {
      return "the zstd stream is damaged";
    }
    const size_t got = ZSTD_decompressDCtx(thread_zstd(), out.data(), out.size(), in.data(), frame);
    if (ZSTD_isError(got)) {
      return zstd_fault(got);
    }
    in = in.subspan(frame);
    out = out.subspan(got);
  }
  return {};
}

}  // namespace

std::string_view decompress_cluster(ClusterCodec codec, std::span<const std::byte> in,
                                    std::span<std::byte> out) {
  return codec == ClusterCodec::kZstd ? decompress_zstd(in, out) : decompress_deflate(in, out);
}

}  // namespace vmferry
