// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/inspect/scratch.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr uint64_t kPiece = uint64_t{256} << 10;

}  // namespace

ScratchFile::ScratchFile(uint64_t length, const std::string& name) : name_(name) {
  fd_ = ::memfd_create("vmferry-inspect", MFD_CLOEXEC);
  if (fd_ < 0) {
    throw errno_error(errno, name_, "make a file in memory");
  }
  if (::ftruncate(fd_, static_cast<off_t>(length)) != 0) {
    const int code = errno;
    ::close(fd_);
    throw errno_error(code, name_, "make a file in memory");
  }
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), name_(std::move(other.name_)) {}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void ScratchFile::fill(const Source& disk, uint64_t base, uint64_t offset, uint64_t length) {
  std::vector<std::byte> buffer;
  for (const uint64_t end = offset + length; offset < end;) {
    const Extent extent = disk.extent_at(base + offset, std::min(kPiece, end - offset));
    if (!extent.is_zero()) {
      buffer.resize(extent.length);
      disk.read_at(extent.offset, buffer);
      const ssize_t put = ::pwrite(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
      if (put < 0) {
        throw errno_error(errno, name_, "fill a file in memory", offset);
      }
    }
    offset += extent.length;
  }
}

std::vector<std::byte> ScratchFile::read(uint64_t offset, size_t length) const {
  std::vector<std::byte> out(length);
  const ssize_t got = ::pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
  out.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return out;
}

}  // namespace vmferry
