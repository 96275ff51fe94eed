// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "lib/format/qcow2/sector_cipher.h"
#include "tests/unit/catch.h"
#include "tests/unit/memory_sources.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

using Bytes = std::vector<std::byte>;

// Every byte of sector n is increased by n.
class Counting : public SectorCipher {
 public:
  void decrypt(uint64_t first, std::span<std::byte> data) const override {
    REQUIRE(data.size() % kCipherSector == 0);
    for (size_t i = 0; i < data.size(); ++i) {
      data[i] = std::byte((std::to_integer<unsigned>(data[i]) + first + i / kCipherSector) & 0xff);
    }
  }
};

std::string error_of(const CipherSpec& spec) {
  try {
    make_sector_cipher(spec, "img");
    return {};
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUnsupported);
    return error.what();
  }
}

}  // namespace

TEST_CASE("encrypted bytes are read in whole sectors, wherever they begin and end") {
  constexpr uint64_t kSectors = 20;
  const test::MemorySource file(Bytes(kSectors * kCipherSector));
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const uint64_t offset = random() % file.size();
    Bytes out(random() % (file.size() - offset + 1), std::byte{0xcc});
    read_encrypted(file, Counting(), offset, 100 + offset / kCipherSector, out);
    for (size_t at = 0; at < out.size(); ++at) {
      REQUIRE(std::to_integer<uint64_t>(out[at]) == 100 + (offset + at) / kCipherSector);
    }
  }
}

TEST_CASE("ciphers: each sector has its own vector, and modes differ") {
  const auto decrypted = [](const char* mode, size_t key_bytes, uint64_t sector) {
    Bytes bytes(2 * kCipherSector);
    make_sector_cipher({"aes", mode, Bytes(key_bytes, std::byte{1})}, "img")
        ->decrypt(sector, bytes);
    return bytes;
  };
  const std::vector<std::pair<const char*, size_t>> methods = {
      {"cbc-plain64", 16}, {"cbc-plain64", 24}, {"cbc-essiv:sha256", 32}};
  std::vector<Bytes> all;
  for (const auto& [mode, key_bytes] : methods) {
    const Bytes bytes = decrypted(mode, key_bytes, 5);
    const auto half = bytes.begin() + kCipherSector;
    CHECK(!std::equal(bytes.begin(), half, half));
    const Bytes next = decrypted(mode, key_bytes, 6);
    CHECK(std::equal(half, bytes.end(), next.begin()));
    CHECK(std::find(all.begin(), all.end(), bytes) == all.end());
    all.push_back(bytes);
  }
  // plain takes 32 bits of the number, plain64 all of them.
  const uint64_t far = (uint64_t{1} << 32) + 5;
  CHECK(decrypted("cbc-plain", 32, far) == decrypted("cbc-plain64", 32, 5));
  CHECK(decrypted("cbc-plain64", 32, far) != decrypted("cbc-plain64", 32, 5));
}

TEST_CASE("ciphers that are not known are refused by name") {
  const Bytes key(32, std::byte{1});
  CHECK(error_of({"serpent", "xts-plain64", key}) ==
        "img: decrypt: the cipher serpent-xts-plain64 with 256 bits of key is not known here");
  CHECK(error_of({"aes", "ctr-plain64", key}) != "");
  CHECK(error_of({"aes", "ecb", key}) != "");
  CHECK(error_of({"aes", "cbc-plain64", Bytes(5)}) != "");
  CHECK(error_of({"aes", "cbc-plain65", key}) != "");
  CHECK(error_of({"aes", "cbc-essiv:rot13", key}) != "");
  CHECK(error_of({"aes", "cbc-essiv:sha1", key}) != "");  // 160 bits are no key of AES
}
