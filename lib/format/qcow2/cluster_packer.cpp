// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/cluster_packer.h"

#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <new>

namespace vmferry {
namespace {

/// zlib, as QEMU has it inflate a cluster (block/qcow2-threads.c): deflate without a header, and no
/// distance of more than 4 KiB. libdeflate is faster, but knows no window below 32 KiB.
class DeflatePacker final : public ClusterPacker {
 public:
  explicit DeflatePacker(int level) {
    constexpr int kWindowBits = -12;  // negative: no header
    constexpr int kMemory = 8;  // QEMU's 9 has tables that a cluster does not fill, and is slower
    if (deflateInit2(&stream_, level, Z_DEFLATED, kWindowBits, kMemory, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
      throw std::bad_alloc();
    }
  }
  DeflatePacker(const DeflatePacker&) = delete;
  DeflatePacker& operator=(const DeflatePacker&) = delete;
  ~DeflatePacker() override { deflateEnd(&stream_); }

  size_t pack(std::span<const std::byte> cluster, std::span<std::byte> out) override {
    deflateReset(&stream_);
    stream_.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(cluster.data()));
    stream_.avail_in = static_cast<uInt>(cluster.size());
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(out.size());
    return deflate(&stream_, Z_FINISH) == Z_STREAM_END ? out.size() - stream_.avail_out : 0;
  }

 private:
  z_stream stream_ = {};
};

struct FreeZstdContext {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class ZstdPacker final : public ClusterPacker {
 public:
  explicit ZstdPacker(int level) : context_(ZSTD_createCCtx()) {
    if (!context_ ||
        ZSTD_isError(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level))) {
      throw std::bad_alloc();
    }
  }

  size_t pack(std::span<const std::byte> cluster, std::span<std::byte> out) override {
    const size_t bytes =
        ZSTD_compress2(context_.get(), out.data(), out.size(), cluster.data(), cluster.size());
    if (!ZSTD_isError(bytes)) {
      return bytes;
    }
    if (ZSTD_getErrorCode(bytes) != ZSTD_error_dstSize_tooSmall) {
      throw std::bad_alloc();  // nothing else can go wrong
    }
    return 0;
  }

 private:
  const std::unique_ptr<ZSTD_CCtx, FreeZstdContext> context_;
};

}  // namespace

PackerLevels packer_levels(ClusterCodec codec) {
  // QEMU uses 6 of zlib and 3 of zstd. These take two thirds of the time, for files that are 1 or 2
  // % larger. Levels of zstd above 19 are for those who can spare gigabytes.
  return codec == ClusterCodec::kZstd ? PackerLevels{1, 19, 2} : PackerLevels{1, 9, 4};
}

std::unique_ptr<ClusterPacker> make_cluster_packer(ClusterCodec codec, int level) {
  if (codec == ClusterCodec::kZstd) {
    return std::make_unique<ZstdPacker>(level);
  }
  return std::make_unique<DeflatePacker>(level);
}

}  // namespace vmferry
