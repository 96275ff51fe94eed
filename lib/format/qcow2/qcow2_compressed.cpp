// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_compressed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "lib/core/format_bytes.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

// A window larger than this saves no more calls worth having, and no longer fits the CPU's cache.
constexpr uint64_t kMaxWindow = uint64_t{1} << 20;
// L2 tables and refcount blocks lie between streams, and QEMU may write streams out of order. More
// would let an image make us read much for little.
constexpr uint64_t kMaxGap = uint64_t{64} << 10;

struct Stream {
  uint64_t guest_offset;
  Mapping mapping;
};

// Streams of guest-contiguous clusters and the part of the file that holds them all.
struct Batch {
  uint64_t begin;
  uint64_t end;
  std::vector<Stream> streams;
};

void add(Batch& batch, uint64_t guest_offset, const Mapping& mapping) {
  batch.begin = std::min(batch.begin, mapping.host_offset);
  batch.end = std::max(batch.end, mapping.host_offset + mapping.stream_bytes);
  batch.streams.push_back({guest_offset, mapping});
}

Batch collect(Qcow2Map::Walker& walker, const Mapping& first, uint64_t offset, uint64_t length) {
  Batch batch{
      .begin = first.host_offset, .end = first.host_offset + first.stream_bytes, .streams = {}};
  add(batch, offset, first);
  uint64_t done = first.length;
  while (done < length) {
    const Mapping next = walker.next(offset + done, length - done);
    if (next.kind != MapKind::kCompressed || !joins_window(batch.begin, batch.end, next)) {
      break;
    }
    add(batch, offset + done, next);
    done += next.length;
  }
  return batch;
}

// This thread's buffer, at least `bytes` long. It grows to a few MiB and stays.
std::span<std::byte> scratch(std::vector<std::byte>& buffer, uint64_t bytes) {
  if (buffer.size() < bytes) {
    buffer.resize(bytes);
  }
  return std::span(buffer).first(bytes);
}

[[noreturn]] void fail(const Source& file, const Stream& stream, std::string_view cause) {
  throw Error({.kind = ErrorKind::kCorrupt,
               .object = file.name(),
               .action = fmt::format("compressed cluster for guest offset {}",
                                     exact_bytes(stream.guest_offset)),
               .cause = fmt::format("{} (at {} in the file)", cause, stream.mapping.host_offset),
               .hint = "examine the image with qemu-img check, or use another copy of it"});
}

void unpack(const Source& file, ClusterCodec codec, const Qcow2Geometry& geometry,
            const Stream& stream, std::span<const std::byte> in, std::span<std::byte> out) {
  thread_local std::vector<std::byte> buffer;
  const bool is_whole = out.size() == geometry.cluster_size();
  const auto cluster = is_whole ? out : scratch(buffer, geometry.cluster_size());
  const std::string_view cause = decompress_cluster(codec, in, cluster);
  if (!cause.empty()) {
    fail(file, stream, cause);
  }
  if (is_whole) {
    return;
  }
  const uint64_t skip = geometry.in_cluster(stream.guest_offset);
  std::memcpy(out.data(), cluster.data() + skip, out.size());
}

}  // namespace

bool joins_window(uint64_t begin, uint64_t end, const Mapping& stream) {
  const uint64_t stream_end = stream.host_offset + stream.stream_bytes;
  if (stream.host_offset > end && stream.host_offset - end > kMaxGap) {
    return false;
  }
  if (stream_end < begin && begin - stream_end > kMaxGap) {
    return false;
  }
  return std::max(end, stream_end) - std::min(begin, stream.host_offset) <= kMaxWindow;
}

uint64_t read_compressed(const Source& file, ClusterCodec codec, const Qcow2Geometry& geometry,
                         Qcow2Map::Walker& walker, const Mapping& first, uint64_t offset,
                         std::span<std::byte> out) {
  const Batch batch = collect(walker, first, offset, out.size());
  thread_local std::vector<std::byte> buffer;
  const auto window = scratch(buffer, batch.end - batch.begin);
  file.read_at(batch.begin, window);
  uint64_t done = 0;
  for (const Stream& stream : batch.streams) {
    const Mapping& mapping = stream.mapping;
    unpack(file, codec, geometry, stream,
           window.subspan(mapping.host_offset - batch.begin, mapping.stream_bytes),
           out.subspan(done, mapping.length));
    done += mapping.length;
  }
  return done;
}

}  // namespace vmferry
