// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "lib/core/forwarding_stream.h"
#include "vmferry/error.h"

namespace vmferry {

/// What is in a compressed stream, for the decompressors: it takes the stream piece by piece, and
/// words its errors. One thread, like every stream.
class PackedStream : public ForwardingStream {
 public:
  std::optional<uint64_t> size() const override { return std::nullopt; }

 protected:
  /// `title`: of the compression, in messages.
  PackedStream(std::unique_ptr<ByteStream> packed, const char* title)
      : ForwardingStream(std::move(packed)), title_(title), input_(256 << 10) {}

  /// The compressed bytes that come next, valid until the next call. None: the stream has ended.
  std::span<std::byte> take_more(const std::stop_token& stop) {
    const size_t got = input_ended_ ? 0 : ForwardingStream::read(input_, stop);
    input_ended_ = got < input_.size();
    taken_ += got;
    return std::span(input_).first(got);
  }
  uint64_t taken() const { return taken_; }  ///< compressed bytes, so far
  bool input_ended() const { return input_ended_; }

  /// `at`: the byte of the compressed stream.
  Error broken(uint64_t at, std::string cause, std::string hint,
               ErrorKind kind = ErrorKind::kCorrupt) const {
    return Error({.kind = kind,
                  .object = name(),
                  .action = std::string("unpack (") + title_ + ")",
                  .offset = at,
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

 private:
  const char* const title_;
  std::vector<std::byte> input_;
  uint64_t taken_ = 0;
  bool input_ended_ = false;
};

}  // namespace vmferry
