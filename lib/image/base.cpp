// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/base.h"

#include "lib/core/null_sink.h"
#include "lib/store/store.h"
#include "vmferry/copy.h"

namespace vmferry {
namespace {

std::string digest_of(const Source& source, const DigestOptions& options) {
  DiskDigest digest(source.size());
  read_digest(source, digest, options);
  return digest.text();
}

std::string digest_of_snapshot(const Location& snapshot, const Source& disk,
                               const NetworkOptions& network, const DigestOptions& options) {
  const Store& store = snapshot.store();
  if (store.kept_digest != nullptr) {
    if (std::string kept = store.kept_digest(snapshot, network); !kept.empty()) {
      return kept;
    }
  }
  std::string digest = digest_of(disk, options);
  if (store.keep_digest != nullptr) {
    store.keep_digest(snapshot, network, digest);
  }
  return digest;
}

}  // namespace

void read_digest(const Source& source, DiskDigest& digest, const DigestOptions& options) {
  NullSink nothing(source.size());
  Progress counters;
  counters.silent_for = [&source] { return source.silent_for(); };
  const ObservedPhase phase(options.observer, "digest", counters, {&source});
  copy(source, nothing, {.jobs = options.jobs, .stop = options.stop, .digest = &digest}, counters);
}

unsigned find_base_below(const std::vector<std::shared_ptr<const Source>>& below,
                         const Location& base, const NetworkOptions& network,
                         const DigestOptions& options) {
  const std::unique_ptr<Source> disk = base.store().open(base, network).source;
  std::string wanted;
  for (unsigned depth = 1; depth <= below.size(); ++depth) {
    const Source& image = *below[depth - 1];
    if (image.size() != disk->size()) {
      continue;
    }
    if (wanted.empty()) {
      wanted = digest_of_snapshot(base, *disk, network, options);
    }
    if (digest_of(image, options) == wanted) {
      return depth;
    }
  }
  return 0;
}

}  // namespace vmferry
