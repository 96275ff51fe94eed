// SPDX-License-Identifier: LGPL-2.1-or-later
// What comes out of a compressed stream is what was put in, or an error: never less of it.
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include <random>
#include <utility>

#include "lib/format/compressed/unpack.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

/// Gives what it has in pieces of odd lengths to nobody: a stream fills what it is given.
class TextStream : public ByteStream {
 public:
  explicit TextStream(std::string text) : text_(std::move(text)) {}
  const std::string& name() const override { return name_; }
  size_t read(std::span<std::byte> out, const std::stop_token& /*stop*/) override {
    const size_t length = text_.copy(reinterpret_cast<char*>(out.data()), out.size(), at_);
    at_ += length;
    return length;
  }

 private:
  const std::string name_ = "packed";
  const std::string text_;
  size_t at_ = 0;
};

/// Cannot be read to its end: an error, told once.
class BreakingStream : public TextStream {
 public:
  using TextStream::TextStream;
  size_t read(std::span<std::byte> out, const std::stop_token& stop) override {
    const size_t got = TextStream::read(out, stop);
    if (got < out.size() && !std::exchange(told_, true)) {
      throw Error({.object = name(), .action = "read", .cause = "the cable was cut"});
    }
    return got;
  }

 private:
  bool told_ = false;
};

using Unpack = std::unique_ptr<ByteStream> (*)(std::unique_ptr<ByteStream>);

std::string unpacked(Unpack unpack, std::string packed, size_t at_once = 7000) {
  const auto stream = unpack(std::make_unique<TextStream>(std::move(packed)));
  std::string all;
  std::string piece(at_once, '\0');
  for (size_t got = at_once; got == at_once;) {
    got = stream->read(std::as_writable_bytes(std::span(piece)), {});
    all += piece.substr(0, got);
  }
  return all;
}

/// The same; nothing: it was refused.
std::optional<std::string> tried(Unpack unpack, const std::string& packed) {
  try {
    return unpacked(unpack, packed);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kCorrupt);
    CHECK(error.parts().object == "packed");
    CHECK(error.parts().offset.has_value());
    return std::nullopt;
  }
}

std::string gzipped(const std::string& text) {
  z_stream zlib = {};
  REQUIRE(deflateInit2(&zlib, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&zlib, text.size()) + 32, '\0');
  zlib.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  zlib.avail_in = static_cast<uInt>(text.size());
  zlib.next_out = reinterpret_cast<Bytef*>(packed.data());
  zlib.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&zlib, Z_FINISH) == Z_STREAM_END);
  packed.resize(packed.size() - zlib.avail_out);
  deflateEnd(&zlib);
  return packed;
}

std::string zstd_packed(const std::string& text) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress2(context, packed.data(), packed.size(), text.data(), text.size()));
  ZSTD_freeCCtx(context);
  return packed;
}

std::string xz_packed(const std::string& text) {
  std::string packed(lzma_stream_buffer_bound(text.size()), '\0');
  size_t length = 0;
  REQUIRE(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                                  reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                                  reinterpret_cast<uint8_t*>(packed.data()), &length,
                                  packed.size()) == LZMA_OK);
  packed.resize(length);
  return packed;
}

/// An xz file that wants a dictionary of another size: see "Block Header" and "LZMA2" in
/// xz-file-format.txt.
std::string with_dictionary(std::string packed, uint8_t size_code) {
  const size_t header = 12;
  const size_t length = static_cast<uint8_t>(packed.at(header)) * 4;
  const std::string lzma2 = "\x21\x01\x16";  // the filter with one byte of properties: 8 MiB
  packed.at(packed.find(lzma2, header) + 2) = static_cast<char>(size_code);
  const uint32_t sum = lzma_crc32(reinterpret_cast<const uint8_t*>(&packed.at(header)), length, 0);
  for (size_t i = 0; i < 4; ++i) {
    packed.at(header + length + i) = static_cast<char>(sum >> 8 * i);
  }
  return packed;
}

std::string some_text() {
  std::mt19937 random(3);
  std::string text(3000, 'a');
  for (size_t i = 0; i < text.size(); i += 1 + random() % 40) {
    text[i] = static_cast<char>(random());
  }
  return text + std::string(20000, '\0') + "end";
}

struct Codec {
  const char* name;
  Unpack unpack;
  std::string (*pack)(const std::string& text);
};
const Codec kCodecs[] = {{"gzip", unpack_gzip, gzipped},
                         {"xz", unpack_xz, xz_packed},
                         {"zstd", unpack_zstd, zstd_packed}};

}  // namespace

TEST_CASE("compressed streams are unpacked, one member after the other") {
  const std::string text = some_text();
  for (const Codec& codec : kCodecs) {
    INFO(codec.name);
    const std::string packed = codec.pack(text);
    for (const size_t at_once : {size_t{1}, size_t{4096}, text.size(), size_t{1} << 20}) {
      CHECK(unpacked(codec.unpack, packed, at_once) == text);
    }
    CHECK(unpacked(codec.unpack, packed + codec.pack("") + packed + codec.pack("x")) ==
          text + text + "x");
    CHECK(tried(codec.unpack, codec.pack("")).value_or("").empty());
  }
}

TEST_CASE("a compressed stream that is cut anywhere is an error") {
  const std::string text = some_text();
  for (const Codec& codec : kCodecs) {
    INFO(codec.name);
    const std::string packed = codec.pack(text);
    for (size_t length = 1; length < packed.size(); ++length) {
      INFO(length);
      CHECK(!tried(codec.unpack, packed.substr(0, length)));
      CHECK(!tried(codec.unpack, packed + packed.substr(0, length)));
    }
  }
}

TEST_CASE("a bit that was turned in a compressed stream is an error, or changes nothing") {
  const std::string text = some_text();
  for (const Codec& codec : kCodecs) {
    INFO(codec.name);
    const std::string packed = codec.pack(text);
    for (size_t at = 0; at < packed.size(); ++at) {
      std::string damaged = packed;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      INFO(at);
      CHECK(tried(codec.unpack, damaged).value_or(text) == text);
    }
  }
}

TEST_CASE("what follows compressed data is an error") {
  const std::string text = some_text();
  for (const Codec& codec : kCodecs) {
    INFO(codec.name);
    const std::string packed = codec.pack(text);
    // A multiple of four zeros may follow an xz.
    for (const std::string& rest : {std::string("\0", 1), std::string(5001, '\0'),
                                    std::string("garbage"), std::string("\x1f\x8b\x08"),
                                    std::string("\x28\xb5\x2f\xfd"), std::string(1 << 20, 'x')}) {
      CHECK(!tried(codec.unpack, packed + rest));
    }
  }
}

TEST_CASE("what is unpacked and is compressed itself stays so") {
  for (const Codec& codec : kCodecs) {
    INFO(codec.name);
    const std::string inner = codec.pack(some_text());
    CHECK(unpacked(codec.unpack, codec.pack(inner)) == inner);
  }
}

TEST_CASE("an xz does not choose how much memory it takes") {
  const std::string text = some_text();
  const std::string packed = xz_packed(text);
  CHECK(unpacked(unpack_xz, with_dictionary(packed, 30)) == text);  // 128 MiB
  for (const auto& [code, wanted] : {std::pair(37, "1.5 GiB"), std::pair(40, "4.0 GiB")}) {
    INFO(wanted);
    try {
      unpacked(unpack_xz, with_dictionary(packed, static_cast<uint8_t>(code)));
      FAIL("it was unpacked");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUnsupported);
      CHECK(error.parts().cause == std::string("it wants ") + wanted +
                                       " of memory to be unpacked, and no more than 256 MiB are "
                                       "given");
    }
  }
}

TEST_CASE("a zstd with a long window is refused, and not called damaged") {
  using std::string_literals::operator""s;
  // RFC 8878, 3.1.1: a frame with a window and nothing else, and a last raw block of one byte.
  const auto frame = [](char window) { return "\x28\xb5\x2f\xfd\0"s + window + "\x09\0\0x"s; };
  const std::string most = frame('\x88');  // 128 MiB
  CHECK(unpacked(unpack_zstd, most) == "x");
  for (const char window : {'\x89', '\x90', '\xa8'}) {  // 144 MiB, 256 MiB, 2 GiB
    for (const std::string& before : {""s, most, zstd_packed(std::string(1 << 20, 'a'))}) {
      try {
        unpacked(unpack_zstd, before + frame(window));
        FAIL("it was unpacked");
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kUnsupported);
        CHECK_THAT(error.what(), Contains("a window of more than 128 MiB"));
        CHECK(error.parts().hint == "unpack it first: zstd -d --long=31 FILE");
      }
    }
  }
}

TEST_CASE("a read that fails between two members is an error, not the end") {
  using std::string_literals::operator""s;
  const std::string x =
      "BZh11AY&SYwK\xb0\x14\0\0\0\0\x80\0\x40\x20\0!\x18"
      "F\x82\xeeH\xa7\x0a\x12\x0e\xe9v\x02\x80"s;  // printf x | bzip2 -1
  const std::string nothing = "BZh1\x17rE8P\x90\0\0\0\0"s;
  constexpr size_t kReadAtOnce = 256 << 10;
  std::string packed = x + x + x + x;
  while (packed.size() < kReadAtOnce) {
    packed += nothing;
  }
  REQUIRE(packed.size() == kReadAtOnce);
  CHECK(unpacked(unpack_bzip2, packed) == "xxxx");

  const auto stream = unpack_bzip2(std::make_unique<BreakingStream>(packed));
  std::string out(100, '\0');
  CHECK_THROWS_WITH(stream->read(std::as_writable_bytes(std::span(out)), {}),
                    "packed: read: the cable was cut");
}

}  // namespace vmferry::test
