// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/cluster_codec.h"

#include <libdeflate.h>
#include <zlib.h>
#include <zstd.h>

#include <memory>
#include <new>

namespace vmferry {
namespace {

// 128 MiB, the library's own limit and QEMU's. Said aloud because a frame header chooses the
// window, and with it how much the decompressor allocates.
constexpr int kMaxZstdWindowLog = 27;

struct FreeDeflate {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

libdeflate_decompressor* thread_deflate() {
  thread_local std::unique_ptr<libdeflate_decompressor, FreeDeflate> decompressor(
      libdeflate_alloc_decompressor());
  if (!decompressor) decompressor.reset(libdeflate_alloc_decompressor());
  if (!decompressor) throw std::bad_alloc();
  return decompressor.get();
}

ZSTD_DCtx* thread_zstd() {
  thread_local std::unique_ptr<ZSTD_DCtx, FreeZstd> context;
  if (!context) {
    context.reset(ZSTD_createDCtx());
    if (!context) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  return context.get();
}

// zlib stops as soon as the cluster is full, whatever the stream would do next. libdeflate needs a
// stream that ends there, so this is the judge of everything libdeflate cannot take.
std::string_view inflate_first_cluster(std::span<const std::byte> in, std::span<std::byte> out) {
  z_stream stream = {};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = inflate(&stream, Z_FINISH);
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
  if (result == Z_DATA_ERROR || result == Z_NEED_DICT) return "the deflate stream is damaged";
  if (stream.avail_out == 0) return {};
  return result == Z_STREAM_END ? "the deflate stream gives less than a cluster"
                                : "the deflate stream is cut short";
}

std::string_view decompress_deflate(std::span<const std::byte> in, std::span<std::byte> out) {
  const auto result = libdeflate_deflate_decompress(thread_deflate(), in.data(), in.size(),
                                                    out.data(), out.size(), nullptr);
  return result == LIBDEFLATE_SUCCESS ? std::string_view() : inflate_first_cluster(in, out);
}

std::string_view decompress_zstd(std::span<const std::byte> in, std::span<std::byte> out) {
  ZSTD_DCtx* const context = thread_zstd();
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_inBuffer input = {in.data(), in.size(), 0};
  ZSTD_outBuffer output = {out.data(), out.size(), 0};
  size_t unfinished = 0;
  while (output.pos < output.size) {
    const size_t in_before = input.pos;
    const size_t out_before = output.pos;
    unfinished = ZSTD_decompressStream(context, &output, &input);
    if (ZSTD_isError(unfinished)) return "the zstd stream is damaged";
    // It asks for more input than there is: without this the loop would not end.
    if (input.pos == in_before && output.pos == out_before) {
      return "the zstd stream is cut short";
    }
  }
  return unfinished == 0 ? std::string_view() : "the zstd frame gives more than a cluster";
}

}  // namespace

std::string_view decompress_cluster(ClusterCodec codec, std::span<const std::byte> in,
                                    std::span<std::byte> out) {
  return codec == ClusterCodec::kZstd ? decompress_zstd(in, out) : decompress_deflate(in, out);
}

}  // namespace vmferry
