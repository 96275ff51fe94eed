// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_maker.h"

#include <fmt/format.h>

#include <bit>

#include "lib/core/format_bytes.h"
#include "lib/format/qcow2/cluster_packer.h"
#include "lib/format/qcow2/qcow2_header.h"
#include "lib/format/qcow2/qcow2_target.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kUsualCluster = uint64_t{64} << 10;
constexpr uint64_t kSmallestCluster = 512;
constexpr size_t kLongestBackingName = 1023;

Error refused(const std::string& object, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = object,
                .action = "make a qcow2 image",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

std::optional<ClusterCodec> codec_of(const ImageLayout& layout, const std::string& object) {
  if (!layout.compression) {
    return std::nullopt;
  }
  if (*layout.compression == "zlib") {
    return ClusterCodec::kDeflate;
  }
  if (*layout.compression == "zstd") {
    return ClusterCodec::kZstd;
  }
  throw refused(object, "there is no compression '" + *layout.compression + "'",
                "zlib and zstd are known");
}

void check_level(int level, ClusterCodec codec, const std::string& object) {
  const PackerLevels levels = packer_levels(codec);
  if (level < levels.least || level > levels.most) {
    throw refused(object, fmt::format("its compression has no level {}", level),
                  fmt::format("choose one from {} to {}", levels.least, levels.most));
  }
}

void check(const ImageLayout& layout, const std::string& object) {
  const uint64_t cluster = layout.cluster_size.value_or(kUsualCluster);
  if (!std::has_single_bit(cluster) || cluster < kSmallestCluster ||
      cluster > kQcow2MaxClusterSize) {
    throw refused(object, "clusters of " + exact_bytes(cluster) + " are not possible",
                  "choose a power of two from 512 to 2M");
  }
  const std::optional<ClusterCodec> codec = codec_of(layout, object);
  if (layout.compression_level && !codec) {
    throw refused(object, "a level is given, but no compression",
                  "add --compress zstd or --compress zlib");
  }
  if (layout.compression_level) {
    check_level(*layout.compression_level, *codec, object);
  }
}

/// REQUIRES: check() passed.
NewQcow2 plan(const ImageLayout& layout, uint64_t size) {
  const uint64_t cluster = layout.cluster_size.value_or(kUsualCluster);
  NewQcow2 image{.cluster_bits = static_cast<uint32_t>(std::countr_zero(cluster)),
                 .guest_size = size,
                 .codec = codec_of(layout, {})};
  if (image.codec) {
    image.level = layout.compression_level.value_or(packer_levels(*image.codec).usual);
  }
  return image;
}

void check_size(const ImageLayout& layout, uint64_t size, const std::string& object) {
  require_mappable(plan(layout, size), object);
}

void check_link(const ImageLayout& layout, const ImageLink& link, const std::string& object) {
  if (link.backing.size() > kLongestBackingName) {
    throw refused(object,
                  fmt::format("the name of the image below has {} bytes, and qcow2 has room for {}",
                              link.backing.size(), kLongestBackingName),
                  "give it a shorter name");
  }
  Qcow2Header header;
  add_link(link, header);
  const uint64_t bytes = encode_qcow2_header(header).size();
  const uint64_t cluster = layout.cluster_size.value_or(kUsualCluster);
  if (bytes > cluster) {
    throw refused(object,
                  fmt::format("its header takes {}, and has to fit into one cluster of {}",
                              exact_bytes(bytes), exact_bytes(cluster)),
                  "choose a larger --cluster-size");
  }
}

std::unique_ptr<Target> make(std::unique_ptr<Target> file, const ImageLayout& layout, uint64_t size,
                             const ImageLink& link) {
  NewQcow2 image = plan(layout, size);
  image.link = link;
  return make_qcow2_target(std::move(file), image);
}

}  // namespace

const FormatMaker kQcow2Maker = {
    .check = check, .check_size = check_size, .check_link = check_link, .make = make};

}  // namespace vmferry
