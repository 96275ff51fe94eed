// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/stream.h"

#include <algorithm>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/core/forwarding_stream.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

class SourceStream : public ByteStream {
 public:
  explicit SourceStream(std::shared_ptr<const Source> source) : source_(std::move(source)) {}

  const std::string& name() const override { return source_->name(); }
  std::optional<uint64_t> size() const override { return source_->size(); }
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    const uint64_t length = std::min<uint64_t>(out.size(), source_->size() - at_);
    announce(at_ + length);
    source_->read_at(at_, out.first(length));
    at_ += length;
    return length;
  }
  void check_unchanged() const override { source_->check_unchanged(); }
  void check_still_there() const override { source_->check_still_there(); }
  std::string stamp() const override { return source_->stamp(); }

 private:
  void announce(uint64_t from) {
    constexpr uint64_t kAhead = 4 << 20;
    const uint64_t end = std::min(from + kAhead, source_->size());
    if (announced_ < end) {
      source_->prefetch(announced_, end - announced_);
      announced_ = end;
    }
  }

  const std::shared_ptr<const Source> source_;
  uint64_t at_ = 0;
  uint64_t announced_ = 0;
};

class SizedStream : public ForwardingStream {
 public:
  SizedStream(std::unique_ptr<ByteStream> stream, uint64_t size)
      : ForwardingStream(std::move(stream)), size_(size) {}

  std::optional<uint64_t> size() const override { return size_; }
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    const size_t got = ForwardingStream::read(out, stop);
    if (got > size_ - at_) {
      throw wrong_size(size_, "it goes on here, and should have " + exact_bytes(size_));
    }
    at_ += got;
    if (got < out.size() && at_ < size_) {
      throw wrong_size(at_, "it ends here, and should have " + exact_bytes(size_));
    }
    return got;
  }

 private:
  Error wrong_size(uint64_t offset, std::string cause) const {
    return Error({.kind = ErrorKind::kIo,
                  .object = name(),
                  .action = "read",
                  .offset = offset,
                  .cause = std::move(cause),
                  .hint = "look whether what writes it has failed, and what size was told"});
  }

  const uint64_t size_;
  uint64_t at_ = 0;
};

}  // namespace

std::unique_ptr<ByteStream> stream_of(std::shared_ptr<const Source> source) {
  return std::make_unique<SourceStream>(std::move(source));
}

std::unique_ptr<ByteStream> expect_size(std::unique_ptr<ByteStream> stream, uint64_t size) {
  return std::make_unique<SizedStream>(std::move(stream), size);
}

}  // namespace vmferry
