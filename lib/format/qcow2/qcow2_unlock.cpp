// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/qcow2_unlock.h"

#include <fmt/format.h>
#include <libcryptsetup.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>
#include <vector>

#include "vmferry/error.h"

namespace vmferry {
namespace {

// A LUKS1 header with eight slots is about 2 MiB.
constexpr uint64_t kMaxLuksHeader = uint64_t{16} << 20;
// The data offset in the header need not be inside the header; libcryptsetup wants it on the
// device.
constexpr uint64_t kRoomForData = uint64_t{1} << 40;
constexpr size_t kLegacyKeyBytes = 16;

[[noreturn]] void fail(ErrorKind kind, const Source& file, std::string cause,
                       std::string hint = {}) {
  throw Error({.kind = kind,
               .object = file.name(),
               .action = "decrypt",
               .cause = std::move(cause),
               .hint = std::move(hint)});
}

/// QEMU (crypto/block-qcow.c): the passphrase is the key, cut or filled up with zeros.
std::shared_ptr<const SectorCipher> unlock_legacy(const Source& file, const Secret& passphrase) {
  std::vector<std::byte> key = passphrase.bytes();
  key.erase(std::find(key.begin(), key.end(), std::byte{0}), key.end());
  key.resize(kLegacyKeyBytes);
  return make_sector_cipher({"aes", "cbc-plain64", std::move(key)}, file.name());
}

struct FreeDevice {
  void operator()(crypt_device* device) const { crypt_free(device); }
};
using Device = std::unique_ptr<crypt_device, FreeDevice>;

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using Memory = std::unique_ptr<std::FILE, CloseFile>;

// libcryptsetup reads headers from a device or a file only: so this one becomes a file in memory.
Memory copy_luks_header(const Source& file, const Qcow2Header& header) {
  if (!header.luks_header) {
    fail(ErrorKind::kCorrupt, file, "the image names no LUKS header");
  }
  const auto [offset, bytes] = *header.luks_header;
  if (bytes == 0 || bytes > kMaxLuksHeader || offset > file.size() ||
      bytes > file.size() - offset) {
    fail(ErrorKind::kCorrupt, file,
         fmt::format("the LUKS header ({} bytes at {}) is too long, or goes on past the end of the "
                     "file ({} bytes)",
                     bytes, offset, file.size()));
  }
  std::vector<std::byte> copy(bytes);
  file.read_at(offset, copy);
  const int fd = ::memfd_create("luks-header", MFD_CLOEXEC);
  Memory memory(fd < 0 ? nullptr : ::fdopen(fd, "w+"));
  if (memory == nullptr && fd >= 0) {
    ::close(fd);
    errno = ENOMEM;  // the only reason
  }
  if (memory == nullptr || std::fwrite(copy.data(), 1, copy.size(), memory.get()) != copy.size() ||
      std::fflush(memory.get()) != 0 || ::ftruncate(fd, static_cast<off_t>(kRoomForData)) != 0) {
    throw errno_error(errno, file.name(), "make room for its LUKS header");
  }
  return memory;
}

void keep_silent(int, const char*, void*) {}

std::shared_ptr<const SectorCipher> unlock_luks(const Source& file, const Qcow2Header& header,
                                                Secret& passphrase) {
  const Memory copy = copy_luks_header(file, header);
  crypt_device* raw = nullptr;
  int result = crypt_init(&raw, fmt::format("/proc/self/fd/{}", ::fileno(copy.get())).c_str());
  const Device device(raw);
  if (result < 0) {
    throw errno_error(-result, file.name(), "open its LUKS header");
  }
  crypt_set_log_callback(raw, keep_silent, nullptr);
  if (crypt_load(raw, CRYPT_LUKS1, nullptr) < 0) {
    fail(ErrorKind::kCorrupt, file, "its LUKS header is damaged",
         "examine the image with qemu-img check, or use another copy of it");
  }
  const int size = crypt_get_volume_key_size(raw);
  if (size <= 0) {
    fail(ErrorKind::kCorrupt, file, "its LUKS header has no key");
  }
  Secret key(static_cast<size_t>(size));
  // Do we know the method at all? Deriving a key takes a while, and libcryptsetup would say only
  // that something failed.
  make_sector_cipher({crypt_get_cipher(raw), crypt_get_cipher_mode(raw), key.bytes()}, file.name());
  size_t key_size = key.size();
  result = crypt_volume_key_get(raw, CRYPT_ANY_SLOT, key.data(), &key_size, passphrase.data(),
                                passphrase.size());
  if (result == -EPERM || result == -ENOENT) {
    fail(ErrorKind::kConflict, file, "the passphrase opens none of its key slots",
         "every byte of the key file counts, including a newline at the end");
  }
  if (result < 0) {
    throw errno_error(-result, file.name(), "open a LUKS key slot");
  }
  key.shrink(key_size);
  return make_sector_cipher({crypt_get_cipher(raw), crypt_get_cipher_mode(raw), key.bytes()},
                            file.name());
}

}  // namespace

std::shared_ptr<const SectorCipher> unlock_qcow2(const Source& file, const Qcow2Header& header,
                                                 Secret passphrase) {
  return header.encryption == Qcow2Encryption::kAes ? unlock_legacy(file, passphrase)
                                                    : unlock_luks(file, header, passphrase);
}

}  // namespace vmferry
