// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/checksum.h"

#include <algorithm>

#include "lib/core/printable.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

struct Algorithm {
  const char* name;
  size_t digits;
};
constexpr Algorithm kAlgorithms[] = {{"sha256", 64}, {"sha512", 128}};

Error no_checksum(std::string_view text, std::string cause) {
  return Error({.kind = ErrorKind::kUsage,
                .object = "'" + printable(text) + "'",
                .action = {},
                .cause = std::move(cause),
                .hint = "write sha256: and 64 hexadecimal digits, as sha256sum prints them; or "
                        "sha512: and 128"});
}

}  // namespace

FileChecksum parse_checksum(std::string_view text) {
  const size_t colon = std::min(text.find(':'), text.size());
  FileChecksum sum = {std::string(text.substr(0, colon)), std::string(text.substr(colon))};
  const auto found =
      std::find_if(std::begin(kAlgorithms), std::end(kAlgorithms),
                   [&sum](const Algorithm& one) { return one.name == sum.algorithm; });
  if (found == std::end(kAlgorithms) || sum.digits.empty()) {
    throw no_checksum(text, "is not a checksum that is known here");
  }
  sum.digits.erase(0, 1);
  std::transform(sum.digits.begin(), sum.digits.end(), sum.digits.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c | 0x20) : c; });
  const bool is_hex = std::all_of(sum.digits.begin(), sum.digits.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (!is_hex || sum.digits.size() != found->digits) {
    throw no_checksum(text,
                      "does not have " + std::to_string(found->digits) + " hexadecimal digits");
  }
  return sum;
}

}  // namespace vmferry
