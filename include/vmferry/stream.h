// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "vmferry/api.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// Bytes that can be read once, from their beginning to their end: what comes through a pipe, or
/// out of a decompressor. One thread at a time.
class ByteStream {
 public:
  virtual ~ByteStream() = default;

  /// The name to use in messages.
  virtual const std::string& name() const = 0;
  /// How many bytes it has in all; nothing: its end will tell.
  virtual std::optional<uint64_t> size() const { return std::nullopt; }

  /// Fills `out` with the bytes that come next and returns how many they are: fewer than there is
  /// room for only where the stream ends. Waits for them, as long as it takes, unless `stop` is
  /// triggered: Error kCancelled. Throws Error as well where the stream is broken, which an end too
  /// early is, as far as that can be told.
  virtual size_t read(std::span<std::byte> out, const std::stop_token& stop) = 0;

  /// As those of a Source.
  virtual void check_unchanged() const {}
  virtual void check_still_there() const {}
  virtual std::string stamp() const { return {}; }
};

/// The bytes of a source, one after the other.
std::unique_ptr<ByteStream> stream_of(std::shared_ptr<const Source> source);

/// The stream, which throws Error (kIo) unless it has `size` bytes. It does so as soon as that
/// shows: at the latest at its end.
std::unique_ptr<ByteStream> expect_size(std::unique_ptr<ByteStream> stream, uint64_t size);

}  // namespace VMFERRY_API vmferry
