// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "vmferry/sink.h"

namespace vmferry {

/// Takes everything and keeps nothing: for a copy that only looks.
class NullSink : public Sink {
 public:
  explicit NullSink(uint64_t size, std::string name = "nothing")
      : name_(std::move(name)), size_(size) {}
  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }
  SinkTraits traits() const override { return {.starts_zeroed = true}; }
  void write_at(uint64_t /*offset*/, Slice /*data*/) override {}
  void zero_range(uint64_t /*offset*/, uint64_t /*length*/) override {}
  void grow(uint64_t /*size*/) override {}
  void set_size(uint64_t size) override { size_ = size; }
  void flush() override {}
  std::unique_ptr<Source> read_back() override { return nullptr; }

 private:
  const std::string name_;
  uint64_t size_;
};

}  // namespace vmferry
