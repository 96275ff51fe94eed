// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/qcow2_format.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using Word = Qcow2FeatureName::Word;

struct KnownFeature {
  Word word;
  unsigned bit;
  const char* name;
};
// As QEMU names them in the images that it makes (qcow2_update_header in block/qcow2.c).
constexpr KnownFeature kFeatures[] = {
    {Word::kIncompatible, 0, "dirty bit"},
    {Word::kIncompatible, 1, "corrupt bit"},
    {Word::kIncompatible, 2, "external data file"},
    {Word::kIncompatible, 3, "compression type"},
    {Word::kIncompatible, 4, "extended L2 entries"},
    {Word::kCompatible, 0, "lazy refcounts"},
    {Word::kAutoclear, 0, "bitmaps"},
    {Word::kAutoclear, 1, "raw external data"},
};

std::string feature_name(const Qcow2Header& header, Word word, unsigned bit) {
  for (const KnownFeature& known : kFeatures) {
    if (known.word == word && known.bit == bit) {
      return known.name;
    }
  }
  for (const Qcow2FeatureName& own : header.feature_names) {
    if (own.word == word && own.bit == bit) {
      return own.name;
    }
  }
  return "bit " + std::to_string(bit);
}

std::vector<std::string> features_of(const Qcow2Header& header) {
  std::vector<std::string> names;
  for (const auto& [word, bits] : {std::pair{Word::kIncompatible, header.incompatible_features},
                                   std::pair{Word::kCompatible, header.compatible_features},
                                   std::pair{Word::kAutoclear, header.autoclear_features}}) {
    for (unsigned bit = 0; bit < 64; ++bit) {
      if ((bits >> bit & 1) != 0) {
        names.push_back(feature_name(header, word, bit));
      }
    }
  }
  return names;
}

SnapshotFacts facts_of(const Qcow2Snapshot& snapshot) {
  return {.id = snapshot.id,
          .name = snapshot.name,
          .date_seconds = snapshot.date_seconds,
          .virtual_size = snapshot.virtual_size,
          .vm_state_bytes = snapshot.vm_state_bytes,
          .vm_clock_nanoseconds = snapshot.vm_clock_nanoseconds};
}

Qcow2Facts facts_of(const Qcow2Header& header) {
  Qcow2Facts facts = {.version = header.version,
                      .cluster_size = header.cluster_size(),
                      .compression = header.codec == ClusterCodec::kZstd ? "zstd" : "zlib",
                      .encryption = {},
                      .refcount_bits = 1U << header.refcount_order,
                      .features = features_of(header),
                      .backing_file = header.backing_name,
                      .backing_format = header.backing_format.value_or(""),
                      .has_data_file = header.has_data_file(),
                      .data_file = header.data_file_name.value_or(""),
                      .snapshots = {},
                      .bitmaps = {},
                      .are_bitmaps_valid = header.are_bitmaps_valid()};
  if (header.encryption == Qcow2Encryption::kAes) {
    facts.encryption = "AES";
  }
  if (header.encryption == Qcow2Encryption::kLuks) {
    facts.encryption = "LUKS";
  }
  return facts;
}

void add_snapshots(const Source& file, const Qcow2Header& header, Qcow2Facts& facts) {
  for (const Qcow2Snapshot& snapshot : read_qcow2_snapshots(file, header)) {
    facts.snapshots.push_back(facts_of(snapshot));
  }
}

void add_bitmaps(const Source& file, const Qcow2Header& header, Qcow2Facts& facts) {
  for (const Qcow2Bitmap& bitmap : read_qcow2_bitmaps(file, header)) {
    facts.bitmaps.push_back({.name = bitmap.name,
                             .granularity = bitmap.granularity,
                             .is_in_use = bitmap.is_in_use,
                             .is_recording = bitmap.is_auto});
  }
}

}  // namespace

void describe_qcow2(const Source& file, ImageFacts& facts, std::vector<std::string>& damage) {
  const Qcow2Header header = read_qcow2_header(file);
  facts.virtual_size = header.virtual_size;
  facts.point = header.point;
  facts.qcow2 = facts_of(header);
  for (const auto add : {add_snapshots, add_bitmaps}) {
    try {
      add(file, header, *facts.qcow2);
    } catch (const Error& error) {
      damage.emplace_back(error.what());
    }
  }
}

}  // namespace vmferry
