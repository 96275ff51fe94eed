// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/reading_back.h"

#include <memory>

#include "lib/core/null_sink.h"
#include "vmferry/error.h"

namespace vmferry {

std::unique_ptr<Source> read_back(Sink& sink) {
  std::unique_ptr<Source> written = sink.read_back();
  if (!written) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = sink.name(),
                 .action = "verify",
                 .cause = "nothing of it can be read back"});
  }
  return written;
}

std::vector<uint64_t> blocks_read_differently(Sink& sink, const DiskDigest& digest,
                                              const TransferOptions& options, Progress& counters) {
  const std::unique_ptr<Source> written = read_back(sink);
  DiskDigest now(digest.size());
  NullSink nothing(digest.size());
  copy(*written, nothing,
       {.jobs = options.jobs, .memory = options.memory, .stop = options.stop, .digest = &now},
       counters);
  std::vector<uint64_t> different;
  for (uint64_t index = 0; index < now.blocks(); ++index) {
    const auto said = digest.find(index);
    if (now.find(index).value_or(BlockDigest()) != said.value_or(BlockDigest())) {
      different.push_back(index);
    }
  }
  return different;
}

}  // namespace vmferry
