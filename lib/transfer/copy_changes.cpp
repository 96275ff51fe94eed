// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/copy_changes.h"

#include <algorithm>
#include <memory>

#include "lib/transfer/delta.h"
#include "lib/transfer/limited_sink.h"
#include "vmferry/copy.h"

namespace vmferry {

uint64_t block_of_changes(const Sink& sink) {
  const SinkTraits traits = sink.traits();
  return std::max(traits.zero_granularity, traits.write_unit);
}

CopyResult copy_changes(const Source& source, const Changes& changes, uint64_t size_before,
                        Sink& sink, const TransferOptions& options, Observer* observer) {
  const CutChanges all(changes, size_before, source.size());
  const BlockChanges blocks(all, source.size(), block_of_changes(sink));
  const DeltaSource delta(source, blocks);
  DeltaSink onto(sink, blocks);
  const std::unique_ptr<Sink> limited = limited_sink(onto, options, options.stop);
  Progress counters;
  counters.silent_for = [&] { return std::max(source.silent_for(), sink.silent_for()); };
  const ObservedPhase observed(observer, options.phase, counters, {&delta});
  return copy(delta, limited ? *limited : onto,
              {.jobs = options.jobs, .memory = options.memory, .stop = options.stop}, counters);
}

}  // namespace vmferry
