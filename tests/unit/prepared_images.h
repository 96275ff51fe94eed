// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "lib/format/foreign/prepare.h"
#include "tests/unit/memory_sources.h"
#include "tests/unit/open_gate.h"
#include "vmferry/error.h"

// What the checks say of images in memory.

namespace vmferry::test {

using Bytes = std::vector<std::byte>;

inline Bytes bytes_of_text(const std::string& text) {
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

using PrepareImage = std::unique_ptr<QemuImage> (*)(std::unique_ptr<Source>, FormatGate&);

/// The words of the error, or "" if there is none.
inline std::string said_of(PrepareImage prepare, Bytes bytes, OpenGate& gate) {
  try {
    prepare(std::make_unique<MemorySource>(std::move(bytes)), gate);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

inline std::string said_of(PrepareImage prepare, Bytes bytes) {
  OpenGate gate;
  return said_of(prepare, std::move(bytes), gate);
}

inline constexpr uint64_t kSectorBytes = 512;

}  // namespace vmferry::test
