// SPDX-License-Identifier: LGPL-2.1-or-later
#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/format/compressed/packed_stream.h"
#include "lib/format/compressed/unpack.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

constexpr int kStored = -1;  // of archive_filter_bytes: what comes into all filters

/// Of an error of libarchive, which ends with libzstd's words for it.
bool is_window_too_long(std::string_view error) {
  return error.ends_with(::ZSTD_getErrorString(ZSTD_error_frameParameter_windowTooLarge));
}

/// Does libzstd refuse a stream that begins so for its window? Of a stream that gave nothing yet
/// libarchive says only that it is no archive.
bool begins_with_long_window(std::span<const std::byte> packed) {
  const std::unique_ptr<ZSTD_DStream, decltype(&::ZSTD_freeDStream)> zstd(::ZSTD_createDStream(),
                                                                          &::ZSTD_freeDStream);
  std::vector<std::byte> unpacked(::ZSTD_DStreamOutSize());
  ZSTD_inBuffer in = {packed.data(), packed.size(), 0};
  size_t rc = 0;
  while (zstd != nullptr && in.pos < in.size && ::ZSTD_isError(rc) == 0) {
    ZSTD_outBuffer out = {unpacked.data(), unpacked.size(), 0};
    rc = ::ZSTD_decompressStream(zstd.get(), &out, &in);
  }
  return ::ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge;
}

/// One filter of libarchive, and no other: a disk that begins as a compressed file does is a disk.
class ArchiveStream : public PackedStream {
 public:
  ArchiveStream(std::unique_ptr<ByteStream> packed, int filter, const char* title)
      : PackedStream(std::move(packed), title) {
    try {
      set_up(filter, title);
    } catch (...) {
      ::archive_read_free(archive_);
      throw;
    }
  }
  ArchiveStream(const ArchiveStream&) = delete;
  ArchiveStream& operator=(const ArchiveStream&) = delete;
  ~ArchiveStream() override { ::archive_read_free(archive_); }

  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    stop_ = stop;
    if (!begun_) {
      begin();
    }
    size_t length = 0;
    while (!ended_ && length < out.size()) {
      const la_ssize_t got =
          ::archive_read_data(archive_, out.data() + length, out.size() - length);
      if (got < 0) {
        throw failed();
      }
      length += static_cast<size_t>(got);
      if (got == 0) {
        ended_ = true;
        require_end();
      }
    }
    return length;
  }

 private:
  void set_up(int filter, const char* title) {
    if (archive_ == nullptr) {
      throw std::bad_alloc();
    }
    // The format for empty archives would take a filter that fails at once for one.
    for (const int rc : {::archive_read_append_filter(archive_, filter),
                         ::archive_read_support_format_raw(archive_)}) {
      if (rc != ARCHIVE_OK) {  // it warns where it would run another program
        throw Error({.kind = ErrorKind::kUnsupported,
                     .object = name(),
                     .action = "unpack",
                     .cause = std::string("this libarchive reads no ") + title,
                     .hint = "unpack it first"});
      }
    }
  }

  void begin() {
    begun_ = true;
    archive_entry* entry = nullptr;
    if (::archive_read_open(archive_, this, nullptr, give_more, nullptr) == ARCHIVE_OK &&
        ::archive_read_next_header(archive_, &entry) == ARCHIVE_OK) {
      return;
    }
    throw_of_stream();
    if (begins_with_long_window(given_)) {
      throw long_window(0);
    }
    throw broken(taken(), "not one byte can be unpacked", kCutOrDamaged);
  }

  /// An exception cannot pass through libarchive.
  static la_ssize_t give_more(archive* handle, void* self, const void** bytes) noexcept {
    auto* stream = static_cast<ArchiveStream*>(self);
    try {
      const auto more = stream->given_ = stream->take_more(stream->stop_);
      *bytes = more.data();
      return static_cast<la_ssize_t>(more.size());
    } catch (...) {
      stream->failure_ = std::current_exception();
      ::archive_set_error(handle, EIO, "it cannot be read");
      return -1;
    }
  }

  /// Some filters are content with what they have read, and would ignore the rest. That of bzip2
  /// takes a failed read between two members for the end
  /// (archive_read_support_filter_bzip2.c, bzip2_filter_read).
  void require_end() {
    throw_of_stream();
    const uint64_t used = used_bytes();
    if (used < taken() || !take_more(stop_).empty()) {
      throw broken(used, "the compressed data ends here, and something else follows",
                   "if that is meant, cut it off first");
    }
  }

  uint64_t used_bytes() const {
    return static_cast<uint64_t>(
        std::max<la_int64_t>(0, ::archive_filter_bytes(archive_, kStored)));
  }

  Error failed() {
    throw_of_stream();
    if (::archive_errno(archive_) == ENOMEM) {
      throw std::bad_alloc();
    }
    const char* cause = ::archive_error_string(archive_);
    if (cause != nullptr && is_window_too_long(cause)) {
      return long_window(used_bytes());
    }
    if (input_ended() && used_bytes() == taken()) {
      return broken(taken(), "it ends in the middle", "it was cut: fetch or make it again");
    }
    return broken(used_bytes(), cause != nullptr ? cause : "it is damaged", kCutOrDamaged);
  }

  Error long_window(uint64_t at) const {
    return broken(at, "it wants a window of more than 128 MiB to be unpacked, and no more is given",
                  "unpack it first: zstd -d --long=31 FILE", ErrorKind::kUnsupported);
  }

  /// Throws what the stream that is unpacked threw, if it did.
  void throw_of_stream() {
    if (failure_) {
      std::rethrow_exception(std::exchange(failure_, nullptr));
    }
  }

  static constexpr const char* kCutOrDamaged = "it is cut or damaged: fetch or make it again";

  archive* const archive_ = ::archive_read_new();
  std::stop_token stop_;
  std::span<const std::byte> given_;  ///< what libarchive got last
  std::exception_ptr failure_;        ///< of the stream that is unpacked
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<ByteStream> unpack_zstd(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<ArchiveStream>(std::move(packed), ARCHIVE_FILTER_ZSTD, "zstd");
}

std::unique_ptr<ByteStream> unpack_bzip2(std::unique_ptr<ByteStream> packed) {
  return std::make_unique<ArchiveStream>(std::move(packed), ARCHIVE_FILTER_BZIP2, "bzip2");
}

std::string libarchive_version() {
  const std::string text = ::archive_version_string();  // "libarchive 3.6.2"
  return text.substr(text.rfind(' ') + 1);
}

}  // namespace vmferry
