// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include "vmferry/map.h"

namespace vmferry {
namespace {

class ChangedSource final : public ForwardingSource, public Layout {
 public:
  ChangedSource(const Source& source, std::unique_ptr<Changes> changes)
      : ForwardingSource(source), source_(source), changes_(std::move(changes)) {}

  Extent extent_at(uint64_t offset, uint64_t max) const override {
    const Changes::Run run = changes_->run_at(offset, max);
    return run.may_differ ? ForwardingSource::extent_at(offset, run.length)
                          : Extent{offset, run.length, ExtentKind::kZero};
  }

  void map(uint64_t offset, uint64_t length, const MapVisitor& visit) const override {
    while (length > 0) {
      const Changes::Run run = changes_->run_at(offset, length);
      if (run.may_differ) {
        map_range(source_, offset, run.length, visit);
      } else {
        visit({.offset = offset, .length = run.length, .kind = MappedKind::kHole});
      }
      offset += run.length;
      length -= run.length;
    }
  }

 private:
  const Source& source_;
  const std::unique_ptr<Changes> changes_;
};

}  // namespace

std::unique_ptr<Source> changed_since(const Source& source, std::unique_ptr<Changes> changes) {
  return std::make_unique<ChangedSource>(source, std::move(changes));
}

}  // namespace vmferry
