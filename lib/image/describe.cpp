// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/describe.h"

#include <algorithm>
#include <utility>

#include "lib/format/format.h"
#include "lib/image/chain.h"
#include "lib/store/store.h"
#include "vmferry/error.h"
#include "vmferry/map.h"

namespace vmferry {
namespace {

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
    if (!seen.is_extent) {
      info_.chain.push_back(facts_of(seen, info_.warnings));
      return;
    }
    const auto* layout = dynamic_cast<const Layout*>(&seen.store);
    info_.chain.back().extents.push_back(
        {.name = seen.store.name(),
         .file_size = seen.store.size(),
         .allocated_bytes = layout == nullptr ? std::nullopt : layout->allocated_bytes()});
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
    for (size_t i = 1; i < info_.chain.size(); ++i) {
      if (info_.chain[i - 1].format.row().prepare != nullptr) {
        info_.chain[i].data_bytes.reset();  // whose data it was is not told
      }
    }
  }

  const SourceOptions& options_;
  const std::stop_token stop_;
  ImageInfo info_;
};

}  // namespace

ImageFacts facts_of(const SeenImage& seen, std::vector<std::string>& damage) {
  ImageFacts facts;
  facts.name = seen.store.name();
  facts.format = seen.format;
  facts.was_probed = seen.was_probed;
  facts.file_size = facts.virtual_size = seen.store.size();
  if (const auto& describe = seen.format.row().describe) {
    describe(seen.store, facts, damage);
  }
  if (const auto* store = dynamic_cast<const DescribedBytes*>(&seen.store)) {
    store->describe(facts);
  }
  return facts;
}

ImageInfo describe(const Location& location, const SourceOptions& options, std::stop_token stop) {
  return Describer(options, std::move(stop)).describe(location);
}

}  // namespace vmferry
