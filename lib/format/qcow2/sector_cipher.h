// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmferry/source.h"

namespace vmferry {

/// Bytes are encrypted in sectors of this size, each with a number that its initial vector is made
/// of.
constexpr uint64_t kCipherSector = 512;

/// Key and method that a disk is encrypted with. Immutable; any thread may call it.
class SectorCipher {
 public:
  virtual ~SectorCipher() = default;
  /// Decrypts whole sectors in place; `first` is the number of the first one.
  /// REQUIRES: data.size() is a multiple of kCipherSector.
  virtual void decrypt(uint64_t first, std::span<std::byte> data) const = 0;
};

/// What encrypts sectors, in the words of dm-crypt and LUKS: "aes", "xts-plain64" or
/// "cbc-essiv:sha256", and the key, whose length chooses the variant.
struct CipherSpec {
  std::string algorithm;
  std::string mode;
  std::vector<std::byte> key;
};

/// Throws Error kUnsupported for a method that OpenSSL or this code does not know; `object` is the
/// image that uses it.
std::unique_ptr<SectorCipher> make_sector_cipher(const CipherSpec& spec, const std::string& object);

/// Reads any bytes of an encrypted cluster: those at `host_offset` of `file`, where the sector that
/// holds the first one has the number `sector`. The sectors must be inside the file wholly.
void read_encrypted(const Source& file, const SectorCipher& cipher, uint64_t host_offset,
                    uint64_t sector, std::span<std::byte> out);

}  // namespace vmferry
