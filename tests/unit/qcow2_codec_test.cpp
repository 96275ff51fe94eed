// SPDX-License-Identifier: LGPL-2.1-or-later
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "lib/format/qcow2/cluster_codec.h"
#include "tests/unit/catch.h"

using namespace vmferry;

namespace {

using Bytes = std::vector<std::byte>;

Bytes pattern(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = std::byte((i * 7 + i / 300) & 0xff);
  }
  return bytes;
}

// window_bits: negative for raw deflate. finish: with an end marker.
Bytes deflated(const Bytes& in, int window_bits = -15, int level = 6, bool finish = true) {
  z_stream stream = {};
  REQUIRE(deflateInit2(&stream, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes out(in.size() + in.size() / 100 + 1000);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(in.data()));
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, finish ? Z_FINISH : Z_SYNC_FLUSH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

Bytes zstd_frame(const Bytes& in) {
  Bytes out(ZSTD_compressBound(in.size()));
  out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 3));
  return out;
}

// A frame made by streaming does not say how much it holds.
Bytes zstd_frame_of_unknown_size(const Bytes& in, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  Bytes out(ZSTD_compressBound(in.size()) + 100);
  ZSTD_outBuffer output = {out.data(), out.size(), 0};
  ZSTD_inBuffer input = {in.data(), in.size(), 0};
  ZSTD_compressStream2(context, &output, &input, ZSTD_e_flush);
  ZSTD_compressStream2(context, &output, &input, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  out.resize(output.pos);
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes first(const Bytes& bytes, size_t count) { return {bytes.begin(), bytes.begin() + count}; }
Bytes rest(const Bytes& bytes, size_t from) { return {bytes.begin() + from, bytes.end()}; }

// What is wrong, or "" when the output is `expected`.
std::string unpack(ClusterCodec codec, const Bytes& in, const Bytes& expected) {
  Bytes out(expected.size());
  const std::string cause(decompress_cluster(codec, in, out));
  if (cause.empty() && out != expected) {
    return "wrong content";
  }
  return cause;
}

const std::vector<size_t> kClusters = {512, 4096, 65536, 2 << 20};
constexpr auto kDeflate = ClusterCodec::kDeflate;
constexpr auto kZstd = ClusterCodec::kZstd;

}  // namespace

TEST_CASE("deflate gives the cluster back") {
  for (const size_t size : kClusters) {
    const Bytes cluster = pattern(size);
    CHECK(unpack(kDeflate, deflated(cluster), cluster) == "");
    CHECK(unpack(kDeflate, deflated(cluster, -12), cluster) == "");
    CHECK(unpack(kDeflate, deflated(cluster, -15, 0), cluster) == "");  // stored blocks
  }
}

TEST_CASE("deflate: what stands behind the first cluster does not count") {
  const Bytes cluster = pattern(4096);
  const Bytes garbage(700, std::byte{0xa5});
  CHECK(unpack(kDeflate, deflated(cluster) + garbage, cluster) == "");
  CHECK(unpack(kDeflate, deflated(cluster + cluster), cluster) == "");
  CHECK(unpack(kDeflate, deflated(pattern(4097)), first(pattern(4097), 4096)) == "");
  // Without an end marker the cluster is there all the same.
  CHECK(unpack(kDeflate, deflated(cluster, -15, 6, false), cluster) == "");
}

TEST_CASE("deflate: streams that do not give a cluster") {
  const Bytes cluster = pattern(4096);
  const Bytes stream = deflated(cluster);
  CHECK(unpack(kDeflate, deflated(first(cluster, 4095)), cluster) ==
        "the deflate stream gives less than a cluster");
  CHECK(unpack(kDeflate, first(stream, stream.size() / 2), cluster) ==
        "the deflate stream is cut short");
  CHECK(unpack(kDeflate, {}, cluster) == "the deflate stream is cut short");
  CHECK(unpack(kDeflate, Bytes(600, std::byte{0xff}), cluster) == "the deflate stream is damaged");
  CHECK(unpack(kDeflate, deflated(cluster, 15), cluster) != "");  // a zlib header
}

TEST_CASE("zstd gives the cluster back") {
  for (const size_t size : kClusters) {
    const Bytes cluster = pattern(size);
    CHECK(unpack(kZstd, zstd_frame(cluster), cluster) == "");
    CHECK(unpack(kZstd, zstd_frame_of_unknown_size(cluster, 17), cluster) == "");
  }
}

TEST_CASE("zstd: several frames, frames to skip, garbage behind the last") {
  const Bytes cluster = pattern(65536);
  const Bytes halves =
      zstd_frame(first(cluster, 30000)) + zstd_frame_of_unknown_size(rest(cluster, 30000), 10);
  const Bytes skip = {std::byte{0x50}, std::byte{0x2a}, std::byte{0x4d}, std::byte{0x18},
                      std::byte{3},    std::byte{0},    std::byte{0},    std::byte{0},
                      std::byte{1},    std::byte{2},    std::byte{3}};
  const Bytes garbage(700, std::byte{0xa5});
  CHECK(unpack(kZstd, halves, cluster) == "");
  CHECK(unpack(kZstd, skip + halves + garbage, cluster) == "");
  CHECK(unpack(kZstd, zstd_frame({}) + skip + zstd_frame(cluster), cluster) == "");
}

TEST_CASE("zstd: streams that do not give exactly a cluster") {
  const Bytes cluster = pattern(4096);
  const Bytes frame = zstd_frame(cluster);
  CHECK(unpack(kZstd, zstd_frame(first(cluster, 4095)), cluster) == "the zstd stream is cut short");
  CHECK(unpack(kZstd, first(frame, frame.size() - 3), cluster) == "the zstd stream is cut short");
  CHECK(unpack(kZstd, {}, cluster) == "the zstd stream is cut short");
  CHECK(unpack(kZstd, Bytes(600, std::byte{0xff}), cluster) == "the zstd stream is damaged");
  CHECK(unpack(kZstd, zstd_frame(pattern(4097)), cluster) ==
        "the zstd frame gives more than a cluster");
  CHECK(unpack(kZstd, zstd_frame_of_unknown_size(pattern(9000), 17), cluster) ==
        "the zstd frame gives more than a cluster");
}

TEST_CASE("zstd: a frame header cannot ask for a window of gigabytes") {
  // Magic, descriptor without a content size, window 2^28 or 2^27, one last RLE block of 4096
  // bytes.
  const auto frame = [](int window_log) {
    const uint8_t raw[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, uint8_t((window_log - 10) << 3),
                           0x03, 0x80, 0x00, 0x41};
    Bytes bytes(sizeof raw);
    std::memcpy(bytes.data(), raw, sizeof raw);
    return bytes;
  };
  // Two frames: the first cannot be unpacked straight into the cluster, so its window is needed.
  const Bytes cluster(8192, std::byte{0x41});
  CHECK(unpack(kZstd, frame(17) + frame(17), cluster) == "");
  CHECK(unpack(kZstd, frame(27) + frame(27), cluster) == "");
  CHECK(unpack(kZstd, frame(28) + frame(28), cluster) == "the zstd stream is damaged");
}

TEST_CASE("a bad stream leaves the decompressors fit for the next") {
  const Bytes cluster = pattern(65536);
  for (int i = 0; i < 3; ++i) {
    const Bytes frame = zstd_frame(cluster);
    CHECK(unpack(kZstd, first(frame, frame.size() / 2), cluster) != "");
    CHECK(unpack(kZstd, frame, cluster) == "");
    const Bytes stream = deflated(cluster);
    CHECK(unpack(kDeflate, first(stream, stream.size() / 2), cluster) != "");
    CHECK(unpack(kDeflate, stream, cluster) == "");
  }
}
