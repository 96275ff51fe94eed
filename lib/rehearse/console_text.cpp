// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/rehearse/console_text.h"

namespace vmferry::rehearsal {
namespace {

constexpr size_t kKept = 4096;  // bytes
constexpr size_t kLongestLine = 256;

/// "web1 login:", and no word that only ends so.
bool is_prompt(std::string_view line) {
  constexpr std::string_view kPrompt = "login:";
  if (!line.ends_with(kPrompt)) {
    return false;
  }
  line.remove_suffix(kPrompt.size());
  return line.empty() || line.back() == ' ';
}

}  // namespace

void ConsoleText::add(std::string_view piece) {
  end_ += piece;
  if (end_.size() > kKept) {
    end_.erase(0, end_.size() - kKept);
  }
  for (const char byte : piece) {
    if (!in_sequence(byte)) {
      take(byte);
    }
  }
}

void ConsoleText::take(char byte) {
  if (byte == '\n' || byte == '\r') {
    line_.clear();
    return;
  }
  if (static_cast<unsigned char>(byte) < ' ') {
    return;
  }
  line_ += byte;
  if (line_.size() > kLongestLine) {
    line_.erase(0, line_.size() - kLongestLine);
  }
  saw_login_ = saw_login_ || is_prompt(line_);
}

/// ECMA-48: ESC [ ... final, ESC ] ... BEL, or ESC and one more byte.
bool ConsoleText::in_sequence(char byte) {
  switch (sequence_) {
    case Sequence::kNone:
      if (byte != '\033') {
        return false;
      }
      sequence_ = Sequence::kEscape;
      return true;
    case Sequence::kEscape:
      sequence_ = byte == '['   ? Sequence::kControl
                  : byte == ']' ? Sequence::kString
                                : Sequence::kNone;
      return true;
    case Sequence::kControl:
      if (byte >= '@' && byte <= '~') {
        sequence_ = Sequence::kNone;
      }
      return true;
    case Sequence::kString:
      if (byte == '\a' || byte == '\n') {
        sequence_ = Sequence::kNone;
      }
      return true;
  }
  return false;
}

}  // namespace vmferry::rehearsal
