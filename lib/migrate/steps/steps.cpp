// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"

#include <algorithm>
#include <iterator>

namespace vmferry::migrate {
namespace {

template <typename Work>
constexpr StepRow row() {
  return {Work::kName, Work::kNoReturn,
          [](Run& run) -> std::unique_ptr<StepWork> { return std::make_unique<Work>(run); }};
}

/// All steps there are.
constexpr StepRow kSteps[] = {
    row<DefineSecret>(),     row<CreateVolumes>(),   row<Snapshot>(),        row<CopyFrozen>(),
    row<StageOverlays>(),    row<PivotOverlays>(),   row<Commit>(),          row<Mirror>(),
    row<PivotMirrors>(),     row<MigrateShared>(),   row<MigrateMirrored>(), row<ShutDown>(),
    row<CopyOffline>(),      row<ForgetSnapshots>(), row<Define>(),          row<Start>(),
    row<CheckDefinitions>(), row<Sparsify>(),        row<RemoveOverlays>(),  row<UndefineSource>(),
    row<DeleteSource>(),     row<MarkOld>(),         row<Unfreeze>(),        row<CopyMarked>(),
    row<RemoveOldMarks>(),   row<MarkVolumes>(),     row<KeepState>(),       row<CommitLayers>(),
    row<RemoveLayers>(),     row<CommitBack>(),      row<RemoveVolumes>(),   row<EndWarmMove>(),
};

}  // namespace

const StepRow* find_step(const std::string& name) {
  const auto* const found = std::find_if(std::begin(kSteps), std::end(kSteps),
                                         [&](const StepRow& row) { return row.name == name; });
  return found == std::end(kSteps) ? nullptr : found;
}

std::string in_words(NoReturn no_return) {
  switch (no_return) {
    case NoReturn::kOnceBegun:
      return "from here on only forward";
    case NoReturn::kOnceDone:
      return "when that is done, only forward";
    default:
      return {};
  }
}

}  // namespace vmferry::migrate
