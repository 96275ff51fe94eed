// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/qcow2/sector_cipher.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "lib/core/printable.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr size_t kBlock = 16;  // of AES, and so the length of an initial vector
using Iv = std::array<uint8_t, kBlock>;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

struct FreeCipher {
  void operator()(EVP_CIPHER* cipher) const { EVP_CIPHER_free(cipher); }
};
using Cipher = std::unique_ptr<EVP_CIPHER, FreeCipher>;

const uint8_t* raw(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

[[noreturn]] void fail() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  throw Error({.kind = ErrorKind::kIo,
               .object = "OpenSSL",
               .action = "decrypt",
               .cause = reason != nullptr ? reason : "it failed, and does not say why"});
}

void check(int result) {
  if (result != 1) {
    fail();
  }
}

enum class IvKind { kPlain, kPlain64, kEssiv };

class OpensslCipher final : public SectorCipher {
 public:
  OpensslCipher(Cipher cipher, std::vector<std::byte> key, IvKind iv, Cipher essiv,
                std::vector<std::byte> essiv_key)
      : cipher_(std::move(cipher)),
        key_(std::move(key)),
        iv_(iv),
        essiv_(std::move(essiv)),
        essiv_key_(std::move(essiv_key)) {}

  ~OpensslCipher() override {
    OPENSSL_cleanse(key_.data(), key_.size());
    OPENSSL_cleanse(essiv_key_.data(), essiv_key_.size());
  }

  void decrypt(uint64_t first, std::span<std::byte> data) const override {
    const Context context(EVP_CIPHER_CTX_new());
    if (!context) {
      throw std::bad_alloc();
    }
    check(EVP_DecryptInit_ex2(context.get(), cipher_.get(), raw(key_), nullptr, nullptr));
    check(EVP_CIPHER_CTX_set_padding(context.get(), 0));
    const Context essiv = essiv_context();
    for (; !data.empty(); data = data.subspan(kCipherSector), ++first) {
      const Iv iv = iv_for(first, essiv.get());
      auto* bytes = reinterpret_cast<uint8_t*>(data.data());
      int length = 0;
      check(EVP_DecryptInit_ex2(context.get(), nullptr, nullptr, iv.data(), nullptr));
      check(EVP_DecryptUpdate(context.get(), bytes, &length, bytes, kCipherSector));
      if (length != static_cast<int>(kCipherSector)) {
        fail();
      }
    }
  }

 private:
  Context essiv_context() const {
    if (iv_ != IvKind::kEssiv) {
      return nullptr;
    }
    Context context(EVP_CIPHER_CTX_new());
    if (!context) {
      throw std::bad_alloc();
    }
    check(EVP_EncryptInit_ex2(context.get(), essiv_.get(), raw(essiv_key_), nullptr, nullptr));
    check(EVP_CIPHER_CTX_set_padding(context.get(), 0));
    return context;
  }

  // The number in little endian, filled up with zeros; ESSIV encrypts that with a hash of the key.
  Iv iv_for(uint64_t sector, EVP_CIPHER_CTX* essiv) const {
    if (iv_ == IvKind::kPlain) {
      sector &= UINT32_MAX;
    }
    Iv iv = {};
    for (size_t i = 0; i < sizeof sector; ++i) {
      iv[i] = static_cast<uint8_t>(sector >> 8 * i);
    }
    if (essiv != nullptr) {
      int length = 0;
      check(EVP_EncryptUpdate(essiv, iv.data(), &length, iv.data(), kBlock));
    }
    return iv;
  }

  const Cipher cipher_;
  std::vector<std::byte> key_;
  const IvKind iv_;
  const Cipher essiv_;
  std::vector<std::byte> essiv_key_;
};

Cipher fetch(const std::string& name, size_t key_bytes) {
  Cipher cipher(EVP_CIPHER_fetch(nullptr, name.c_str(), nullptr));
  if (cipher && static_cast<size_t>(EVP_CIPHER_get_key_length(cipher.get())) != key_bytes) {
    cipher.reset();
  }
  return cipher;
}

std::vector<std::byte> digest(const std::string& hash, std::span<const std::byte> key) {
  std::vector<std::byte> out(EVP_MAX_MD_SIZE);
  size_t length = 0;
  if (EVP_Q_digest(nullptr, hash.c_str(), nullptr, key.data(), key.size(),
                   reinterpret_cast<uint8_t*>(out.data()), &length) != 1) {
    return {};
  }
  out.resize(length);
  return out;
}

}  // namespace

std::unique_ptr<SectorCipher> make_sector_cipher(const CipherSpec& spec,
                                                 const std::string& object) {
  const auto unsupported = [&] {
    return Error(
        {.kind = ErrorKind::kUnsupported,
         .object = object,
         .action = "decrypt",
         .cause = fmt::format("the cipher {}-{} with {} bits of key is not known here",
                              printable(spec.algorithm), printable(spec.mode), spec.key.size() * 8),
         .hint = "decrypt it with qemu-img convert first"});
  };
  const size_t dash = spec.mode.find('-');
  if (spec.algorithm != "aes" || dash == std::string::npos) {
    throw unsupported();
  }
  const std::string chaining = spec.mode.substr(0, dash);
  const std::string iv = spec.mode.substr(dash + 1);
  // XTS takes two keys of equal length, and is called after one.
  const size_t bits = spec.key.size() * 8 / (chaining == "xts" ? 2 : 1);
  Cipher cipher = fetch(fmt::format("AES-{}-{}", bits, chaining), spec.key.size());
  if (!cipher || (chaining != "xts" && chaining != "cbc")) {
    throw unsupported();
  }

  constexpr std::string_view kEssivPrefix = "essiv:";
  if (iv.starts_with(kEssivPrefix)) {
    auto essiv_key = digest(iv.substr(kEssivPrefix.size()), spec.key);
    Cipher essiv = fetch(fmt::format("AES-{}-ECB", essiv_key.size() * 8), essiv_key.size());
    if (!essiv) {
      throw unsupported();
    }
    return std::make_unique<OpensslCipher>(std::move(cipher), spec.key, IvKind::kEssiv,
                                           std::move(essiv), std::move(essiv_key));
  }
  if (iv != "plain" && iv != "plain64") {
    throw unsupported();
  }
  return std::make_unique<OpensslCipher>(std::move(cipher), spec.key,
                                         iv == "plain" ? IvKind::kPlain : IvKind::kPlain64, nullptr,
                                         std::vector<std::byte>());
}

void read_encrypted(const Source& file, const SectorCipher& cipher, uint64_t host_offset,
                    uint64_t sector, std::span<std::byte> out) {
  while (!out.empty()) {
    const uint64_t skip = host_offset % kCipherSector;
    uint64_t done = 0;
    if (skip == 0 && out.size() >= kCipherSector) {
      done = out.size() - out.size() % kCipherSector;
      file.read_at(host_offset, out.first(done));
      cipher.decrypt(sector, out.first(done));
    } else {
      std::array<std::byte, kCipherSector> whole;
      file.read_at(host_offset - skip, whole);
      cipher.decrypt(sector, whole);
      done = std::min(kCipherSector - skip, uint64_t{out.size()});
      std::memcpy(out.data(), whole.data() + skip, done);
    }
    sector += (skip + done) / kCipherSector;
    host_offset += done;
    out = out.subspan(done);
  }
}

}  // namespace vmferry
