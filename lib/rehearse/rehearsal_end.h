// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lib/rehearse/rehearsal_record.h"
#include "vmferry/rehearse.h"

namespace vmferry::rehearsal {

/// Takes away what a rehearsal has made, and nothing else of such a name. Throws nothing: what
/// could not be removed is in left(). One thread.
class RehearsalEnd {
 public:
  /// Both must outlive it.
  RehearsalEnd(const RehearsalThings& things, const RehearsalContext& context)
      : things_(things), context_(context) {}

  void stop_copy();
  /// Bytes of all clones together; nothing: that is not known of one.
  std::optional<uint64_t> written() const;
  /// REQUIRES: stop_copy().
  void remove_volumes();

  /// What is there still, a line each.
  const std::vector<std::string>& left() const { return left_; }

 private:
  /// What its Error says; empty: there was none.
  static std::string trouble_of(const std::function<void()>& act);

  const RehearsalThings& things_;
  const RehearsalContext& context_;
  std::string trouble_;  ///< why the copy could not be stopped, as far as is known
  std::vector<std::string> left_;
};

/// Removes what a killed rehearsal has left, and its record. Throws kConflict: not all of it could
/// be. REQUIRES: record.left().
void clear_left(const std::string& domain, const RehearsalRecord& record,
                const RehearsalContext& context);

/// What a person does about what is left, once the trouble is over.
std::string cleaning_hint(const std::string& domain);

}  // namespace vmferry::rehearsal
