// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rados_text.h"

namespace vmferry {

std::string encode_rados_text(const std::string& text) {
  std::string bytes(4, '\0');
  for (size_t i = 0; i < 4; ++i) {
    bytes[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return bytes + text;
}

std::string decode_rados_text(std::string_view bytes) {
  if (bytes.size() < 4) {
    return {};
  }
  size_t length = 0;
  for (size_t i = 0; i < 4; ++i) {
    length |= size_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return length > bytes.size() - 4 ? std::string() : std::string(bytes.substr(4, length));
}

}  // namespace vmferry
