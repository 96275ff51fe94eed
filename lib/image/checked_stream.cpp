// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/checked_stream.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "lib/core/forwarding_stream.h"
#include "lib/format/format.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

/// A stream whose first bytes were looked at: it gives them all the same.
class LookedStream : public ForwardingStream {
 public:
  explicit LookedStream(std::unique_ptr<ByteStream> inner)
      : ForwardingStream(std::move(inner)), start_(ImageMarks::kStart, '\0') {
    start_.resize(ForwardingStream::read(std::as_writable_bytes(std::span(start_)), {}));
  }

  const std::string& start() const { return start_; }
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    const size_t again = std::min(out.size(), start_.size() - given_);
    std::memcpy(out.data(), start_.data() + given_, again);
    given_ += again;
    const bool ended = start_.size() < ImageMarks::kStart;
    return ended ? again : again + ForwardingStream::read(out.subspan(again), stop);
  }

 private:
  std::string start_;
  size_t given_ = 0;
};

/// `packed`: the stream is compressed, and this is what it holds.
void refuse_container(const std::string& name, const ImageMarks& marks, bool packed) {
  const ImageFormat format = probe_format(marks);
  if (!format.is_container()) {
    return;
  }
  throw Error(
      {.kind = ErrorKind::kUnsupported,
       .object = name,
       .action = "open",
       .cause = std::string(packed ? "what is compressed in it" : "what comes") + " is a " +
                format.row().title + " file, which cannot be read in order",
       .hint = packed
                   ? "unpack it to a file first; if that is a raw disk that only looks like one, "
                     "unpack it into a pipe to 'vmferry convert -f raw - TARGET'"
                   : "save it to a file first; if it is a raw disk that only looks like one, "
                     "pass -f raw"});
}

/// Looks at the end as well, once it is there.
class CheckedStream : public ForwardingStream {
 public:
  CheckedStream(std::unique_ptr<LookedStream> stream, bool packed)
      : ForwardingStream(std::move(stream)), packed_(packed) {}

  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    const size_t length = ForwardingStream::read(out, stop);
    remember(std::string_view(reinterpret_cast<const char*>(out.data()), length));
    if (length < out.size()) {
      refuse_container(name(), marks_, packed_);
    }
    return length;
  }

 private:
  void remember(std::string_view bytes) {
    marks_.start += bytes.substr(0, ImageMarks::kStart - marks_.start.size());
    marks_.end += bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), ImageMarks::kEnd));
    marks_.end.erase(0, marks_.end.size() - std::min<size_t>(marks_.end.size(), ImageMarks::kEnd));
  }

  const bool packed_;
  ImageMarks marks_;
};

}  // namespace

std::unique_ptr<ByteStream> disk_in_stream(std::unique_ptr<ByteStream> stored) {
  auto stream = std::make_unique<LookedStream>(std::move(stored));
  const ImageFormat format = probe_format({.start = stream->start(), .end = {}});
  const bool packed = format.row().unpack != nullptr;
  if (packed) {
    stream = std::make_unique<LookedStream>(format.row().unpack(std::move(stream)));
  }
  refuse_container(stream->name(), {.start = stream->start(), .end = {}}, packed);
  return std::make_unique<CheckedStream>(std::move(stream), packed);
}

}  // namespace vmferry
