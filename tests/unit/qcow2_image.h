// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "lib/format/format.h"
#include "lib/format/qcow2/qcow2.h"
#include "tests/unit/big_endian.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/test_sinks.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"

// qcow2 images put together cluster by cluster, and what reads them.

namespace vmferry::test::qcow2 {

using Bytes = std::vector<std::byte>;
using test::MemorySource;
using Range = MemorySource::Range;

// `size` bytes that pack well and differ from place to place.
inline Bytes pattern(size_t size, unsigned seed) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = std::byte((seed + i / 64) % 251 + 1);
  }
  return bytes;
}

inline Bytes packed(ClusterCodec codec, const Bytes& in) {
  Bytes out(in.size() + 1000);
  if (codec == ClusterCodec::kZstd) {
    out.resize(ZSTD_compress(out.data(), out.size(), in.data(), in.size(), 1));
  } else {
    auto* compressor = libdeflate_alloc_compressor(1);
    out.resize(
        libdeflate_deflate_compress(compressor, in.data(), in.size(), out.data(), out.size()));
    libdeflate_free_compressor(compressor);
  }
  return out;
}

// Builds an image in memory, and beside it what a guest should read where it has no backing image.
class Image {
 public:
  Image(uint32_t bits, uint64_t disk_size, uint32_t version = 3)
      : cluster_bits(bits), cluster(uint64_t{1} << bits), size(disk_size) {
    const uint64_t coverage = cluster * cluster / 8;
    l1_entries = (size + coverage - 1) / coverage;
    bytes.resize(2 * cluster);
    l1 = append(Bytes(std::max<uint64_t>(8 * l1_entries, 1)));
    put(0, 0x514649fb, 4).put(4, version, 4).put(20, cluster_bits, 4).put(24, size, 8);
    put(36, l1_entries, 4).put(40, l1, 8).put(48, cluster, 8).put(56, 1, 4);
    if (version == 3) {
      put(96, 4, 4).put(100, 112, 4);
    }
    if (size < (64 << 20)) {
      guest.resize(size);
    }
  }

  Image& put(uint64_t at, uint64_t value, size_t length = 8) {
    put_big_endian(bytes, at, value, length);
    return *this;
  }
  uint64_t get(uint64_t at) const { return get_big_endian(bytes, at); }
  // Whole clusters at the next cluster border. Answers where.
  uint64_t append(const Bytes& data) {
    bytes.resize((bytes.size() + cluster - 1) / cluster * cluster);
    const uint64_t at = bytes.size();
    bytes.insert(bytes.end(), data.begin(), data.end());
    bytes.resize((bytes.size() + cluster - 1) / cluster * cluster);
    return at;
  }
  // Where in the file the L2 entry for the guest cluster is; makes the table.
  uint64_t entry(uint64_t index) {
    const uint64_t slot = l1 + index / (cluster / 8) * 8;
    if (get(slot) == 0) {
      put(slot, append(Bytes(cluster)) | uint64_t{1} << 63);
    }
    return (get(slot) & ~(uint64_t{1} << 63)) + index % (cluster / 8) * 8;
  }
  Image& set(uint64_t index, uint64_t raw) { return put(entry(index), raw); }
  Image& data(uint64_t index) {
    entry(index);
    const Bytes content = pattern(cluster, index * 3);
    expect(index, content);
    return set(index, append(content) | uint64_t{1} << 63);
  }
  Image& zero(uint64_t index) { return set(index, 1); }
  // A zero flag over a cluster with other content.
  Image& kept(uint64_t index) {
    entry(index);
    return set(index, append(Bytes(cluster, std::byte{0xee})) | 1);
  }
  Image& stream(uint64_t index, const Bytes& content, int more_sectors = 0) {
    const uint64_t where = entry(index);
    const uint64_t at = bytes.size();
    bytes.insert(bytes.end(), content.begin(), content.end());
    const uint64_t sectors = (at + content.size() - 1) / 512 - at / 512 + more_sectors;
    return put(where, uint64_t{1} << 62 | sectors << (62 - (cluster_bits - 8)) | at);
  }
  // Behind the last byte, wherever that is, as QEMU packs them.
  Image& compressed(uint64_t index) {
    const Bytes content = pattern(cluster, index * 5);
    expect(index, content);
    return stream(index, packed(codec, content));
  }
  Image& zstd() {
    codec = ClusterCodec::kZstd;
    return put(72, get(72) | 8).put(104, 1, 1);
  }
  void expect(uint64_t index, const Bytes& content) {
    const uint64_t at = index * cluster;
    std::memcpy(guest.data() + at, content.data(), std::min(cluster, size - at));
  }

  std::shared_ptr<MemorySource> file() const { return std::make_shared<MemorySource>(bytes); }
  std::unique_ptr<Source> open(std::shared_ptr<const Source> backing = nullptr) const {
    return open_bytes(file(), std::move(backing));
  }
  static std::unique_ptr<Source> open_bytes(std::shared_ptr<const Source> file,
                                            std::shared_ptr<const Source> backing = nullptr) {
    return open_qcow2({.file = file, .backing = std::move(backing)}, read_qcow2_header(*file));
  }

  const uint32_t cluster_bits;
  const uint64_t cluster;
  const uint64_t size;
  uint64_t l1_entries = 0;
  uint64_t l1 = 0;
  ClusterCodec codec = ClusterCodec::kDeflate;
  Bytes bytes;
  Bytes guest;
};

inline Bytes read(const Source& source, uint64_t offset, uint64_t length) {
  Bytes out(length, std::byte{0xcc});
  source.read_at(offset, out);
  return out;
}

inline Bytes read_all(const Source& source) { return read(source, 0, source.size()); }

// All extents must tile the disk; a zero extent must be zeros. Answers "d4096 z512 ...".
inline std::string extents(const Source& source) {
  std::string drawn;
  for (uint64_t offset = 0; offset < source.size();) {
    const Extent extent = source.extent_at(offset, source.size() - offset);
    REQUIRE(extent.offset == offset);
    REQUIRE(extent.length > 0);
    drawn += (drawn.empty() ? "" : " ") + std::string(extent.is_zero() ? "z" : "d") +
             std::to_string(extent.length);
    offset = extent.end();
  }
  return drawn;
}

inline std::string error_of(const std::function<void()>& action,
                            ErrorKind kind = ErrorKind::kCorrupt) {
  try {
    action();
    return {};
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
}

inline std::string read_error(const Image& image) {
  return error_of([&] { read_all(*image.open()); });
}

// Of every kind, twice: neighbours, and in a second L2 table where there is room for one.
inline Image every_kind(uint32_t bits, bool zstd, uint64_t tail = 0) {
  const uint64_t cluster = uint64_t{1} << bits;
  Image image(bits, 9 * cluster + tail);
  if (zstd) {
    image.zstd();
  }
  image.data(0).data(1).zero(3).kept(4).compressed(5).compressed(6).compressed(8);
  if (tail > 0) {
    image.compressed(9);
  }
  return image;
}

}  // namespace vmferry::test::qcow2
