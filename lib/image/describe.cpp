// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/describe.h"

#include <utility>

#include "lib/image/chain.h"
#include "lib/store/rbd/rbd.h"
#include "vmferry/error.h"
#include "vmferry/map.h"

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

/// Puts an ImageInfo together while a chain is being opened.
class Describer {
 public:
  Describer(const SourceOptions& options, std::stop_token stop)
      : options_(options), stop_(std::move(stop)) {}

  ImageInfo describe(const Location& location) {
    OpenImage image;
    try {
      image = open_chain(location, options_, [this](const SeenImage& seen) { add(seen); });
    } catch (const Error& error) {
      // Without facts there is nothing to say but the error; nor about another state than was asked
      // for.
      if (info_.chain.empty() || lacks_snapshot() || stop_.stop_requested()) {
        throw;
      }
      note(error);
      return std::move(info_);
    }
    info_.warnings.insert(info_.warnings.end(), image.warnings.begin(), image.warnings.end());
    info_.chain.front().virtual_size = image.guest->size();
    try {
      sum_up(*image.guest);
      info_.contents = inspect(*image.guest);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::kCancelled) {
        throw;
      }
      note(error);
    }
    return std::move(info_);
  }

 private:
  /// Is a snapshot wanted that is not there, or that is not the only one of its name?
  bool lacks_snapshot() const {
    const SnapshotChoice& wanted = options_.snapshot;
    if (!wanted.is_given()) {
      return false;
    }
    const std::optional<Qcow2Facts>& qcow2 = info_.chain.front().qcow2;
    return !qcow2 || std::count_if(qcow2->snapshots.begin(), qcow2->snapshots.end(),
                                   [&wanted](const SnapshotFacts& snapshot) {
                                     return snapshot.name == wanted.name.value_or(snapshot.name) &&
                                            snapshot.id == wanted.id.value_or(snapshot.id);
                                   }) != 1;
  }

  void note(const Error& error) {
    info_.problem = error.what();
    info_.hint = error.hint();
  }

  void add(const SeenImage& seen) {
    ImageFacts facts;
    facts.name = seen.store.name();
    facts.format = seen.format;
    facts.was_probed = seen.was_probed;
    facts.file_size = facts.virtual_size = seen.store.size();
    if (seen.qcow2 != nullptr) {
      facts.virtual_size = seen.qcow2->virtual_size;
      facts.qcow2 = facts_of(*seen.qcow2);
      add_lists(seen, *facts.qcow2);
    }
    if (const auto* volume = dynamic_cast<const Volume*>(&seen.store)) {
      facts.rbd = volume->facts();
      facts.allocated_bytes = facts.rbd->used_bytes;
    } else if (const auto* layout = dynamic_cast<const Layout*>(&seen.store)) {
      facts.allocated_bytes = layout->allocated_bytes();
    }
    info_.chain.push_back(std::move(facts));
  }

  // A damaged list is bad news about the list: the disk itself may be as good as ever.
  void add_lists(const SeenImage& seen, Qcow2Facts& facts) {
    try {
      for (const Qcow2Snapshot& snapshot : read_qcow2_snapshots(seen.store, *seen.qcow2)) {
        facts.snapshots.push_back(facts_of(snapshot));
      }
    } catch (const Error& error) {
      info_.warnings.emplace_back(error.what());
    }
    try {
      for (const Qcow2Bitmap& bitmap : read_qcow2_bitmaps(seen.store, *seen.qcow2)) {
        facts.bitmaps.push_back({.name = bitmap.name,
                                 .granularity = bitmap.granularity,
                                 .is_in_use = bitmap.is_in_use,
                                 .is_recording = bitmap.is_auto});
      }
    } catch (const Error& error) {
      info_.warnings.emplace_back(error.what());
    }
  }

  // What each image of the chain contributes to the disk.
  void sum_up(const Source& guest) {
    for (ImageFacts& facts : info_.chain) {
      facts.data_bytes = 0;
    }
    map_range(guest, 0, guest.size(), [this](const MappedExtent& extent) {
      if (stop_.stop_requested()) {
        throw cancelled_error();
      }
      if (!extent.is_data() || extent.is_zero() || extent.depth >= info_.chain.size()) {
        return;
      }
      ImageFacts& facts = info_.chain[extent.depth];
      *facts.data_bytes += extent.length;
      if (extent.kind == MappedKind::kCompressed) {
        facts.compressed_bytes += extent.length;
      }
    });
  }

  const SourceOptions& options_;
  const std::stop_token stop_;
  ImageInfo info_;
};

}  // namespace

ImageInfo describe(const Location& location, const SourceOptions& options, std::stop_token stop) {
  return Describer(options, std::move(stop)).describe(location);
}

}  // namespace vmferry
