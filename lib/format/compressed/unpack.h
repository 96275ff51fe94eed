// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "vmferry/stream.h"

// What a compressed stream holds. Every one of these reads all members or frames that follow one
// another, and throws Error (kCorrupt) where the stream is cut, its checksum is wrong, or something
// else follows it.

namespace vmferry {

/// By zlib: the gzip filter of libarchive (3.7, archive_read_support_filter_gzip.c) skips the
/// checksum.
std::unique_ptr<ByteStream> unpack_gzip(std::unique_ptr<ByteStream> packed);

/// By liblzma: the xz filter of libarchive lets it take as much memory as the file asks for, up to
/// 4 GiB (archive_read_support_filter_xz.c, LZMA_MEMLIMIT). Here it gets 256 MiB; a file that wants
/// more is refused (kUnsupported). Zeros may follow, four at a time (xz-file-format.txt, 2.2).
std::unique_ptr<ByteStream> unpack_xz(std::unique_ptr<ByteStream> packed);

/// By libarchive. zstd gets 128 MiB at most for its window, which is what libzstd takes unasked
/// (zstd.h, ZSTD_d_windowLogMax).
std::unique_ptr<ByteStream> unpack_zstd(std::unique_ptr<ByteStream> packed);
std::unique_ptr<ByteStream> unpack_bzip2(std::unique_ptr<ByteStream> packed);

}  // namespace vmferry
