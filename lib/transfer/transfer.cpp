// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/transfer.h"

#include <string>

#include "lib/transfer/checkpoints.h"
#include "lib/transfer/copy_again.h"
#include "lib/transfer/state_copy.h"
#include "vmferry/error.h"

namespace vmferry {

TransferResult transfer(const Source& source, Target& target, const TransferOptions& options,
                        Observer* observer) {
  StateCopy copy(source, target, options, observer);
  try {
    const TransferResult result = copy.run();
    if (options.breaks != nullptr) {
      copy_again(source, *options.breaks, target.sink(), options, observer);
    }
    if (options.stop.stop_requested()) {
      throw cancelled_error();
    }
    check_source(source, options.source_in_use);
    target.publish();
    return result;
  } catch (const Error& error) {
    throw copy.kept(error);
  }
}

bool can_resume(const Source& source, const Location& target, const NetworkOptions& network) {
  const std::string stamp = source.stamp();
  return !stamp.empty() && is_checkpoint_of(stamp, unfinished_notes(target, network));
}

void check_source(const Source& source, bool in_use) {
  if (in_use) {
    source.check_still_there();
  } else {
    source.check_unchanged();
  }
}

}  // namespace vmferry
