// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry::rehearsal {

/// What a console has said: a bounded end of it, and whether a login prompt was there. The bytes
/// are a guest's, and may be anything. One thread.
class ConsoleText {
 public:
  void add(std::string_view piece);
  /// A line ended in "login:", maybe with blanks after it, at some time.
  bool saw_login() const { return saw_login_; }
  /// The last bytes, some KiB at most, as they came.
  const std::string& end() const { return end_; }

 private:
  void take(char byte);
  bool in_sequence(char byte);

  enum class Sequence { kNone, kEscape, kControl, kString };
  Sequence sequence_ = Sequence::kNone;  ///< of a terminal's, which is no text
  std::string line_;                     ///< the end of the line that is being written
  std::string end_;
  bool saw_login_ = false;
};

}  // namespace vmferry::rehearsal
