// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <utility>

#include "vmferry/stream.h"

namespace vmferry {

/// Passes every call on to another stream: for one that changes what it reads.
class ForwardingStream : public ByteStream {
 public:
  explicit ForwardingStream(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)) {}

  const std::string& name() const override { return inner_->name(); }
  std::optional<uint64_t> size() const override { return inner_->size(); }
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    return inner_->read(out, stop);
  }
  void check_unchanged() const override { inner_->check_unchanged(); }
  void check_still_there() const override { inner_->check_still_there(); }
  std::string stamp() const override { return inner_->stamp(); }

 private:
  const std::unique_ptr<ByteStream> inner_;
};

}  // namespace vmferry
