// SPDX-License-Identifier: LGPL-2.1-or-later
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "lib/format/qcow2/qcow2_header.h"
#include "tests/unit/big_endian.h"
#include "tests/unit/catch.h"
#include "vmferry/error.h"

using namespace vmferry;

namespace {

constexpr uint64_t kFileSize = 1 << 20;

// The first cluster of an image: 64 KiB clusters, 1 GiB, version 3, 112-byte header.
class Header {
 public:
  Header() : bytes_(65536) {
    put(0, 0x514649fb, 4).put(4, 3, 4).put(20, 16, 4).put(24, 1 << 30, 8);
    put(36, 2, 4).put(40, 3 << 16, 8).put(48, 1 << 16, 8).put(56, 1, 4);
    put(96, 4, 4).put(100, 112, 4);
  }

  Header& put(size_t at, uint64_t value, size_t length) {
    test::put_big_endian(bytes_, at, value, length);
    return *this;
  }
  Header& text(size_t at, const std::string& text) {
    for (size_t i = 0; i < text.size(); ++i) {
      bytes_.at(at + i) = std::byte(text[i]);
    }
    return *this;
  }
  // An extension; the area's end marker is the zeros that follow. Answers where the next one goes.
  size_t extension(size_t at, uint32_t type, const std::string& data) {
    put(at, type, 4).put(at + 4, data.size(), 4).text(at + 8, data);
    return at + 8 + (data.size() + 7) / 8 * 8;
  }
  Header& backing(const std::string& name, size_t at = 1000) {
    return put(8, at, 8).put(16, name.size(), 4).text(at, name);
  }
  Header& version2() { return put(4, 2, 4).put(72, 0, 8).put(96, 0, 8); }
  void cut(size_t size) { bytes_.resize(size); }

  Qcow2Header parse(uint64_t file_size = kFileSize) const {
    return parse_qcow2_header(bytes_, "img.qcow2", file_size);
  }
  // The message, or "" if it is accepted.
  std::string error(ErrorKind kind = ErrorKind::kCorrupt, uint64_t file_size = kFileSize) const {
    try {
      parse(file_size);
      return {};
    } catch (const Error& error) {
      CHECK(error.kind() == kind);
      const std::string message = error.what();
      const std::string prefix = "img.qcow2: qcow2 header at ";
      CHECK(message.rfind(prefix, 0) == 0);
      return message.substr(prefix.size());
    }
  }

 private:
  std::vector<std::byte> bytes_;
};

bool refused(size_t at, uint64_t value, size_t length, ErrorKind kind = ErrorKind::kCorrupt) {
  return !Header().put(at, value, length).error(kind).empty();
}
bool accepted(size_t at, uint64_t value, size_t length) {
  return Header().put(at, value, length).error().empty();
}

}  // namespace

TEST_CASE("qcow2 header: a good one, version 3") {
  const Qcow2Header header = Header().put(72, 1, 8).put(80, 1, 8).put(88, 3, 8).parse();
  CHECK(header.version == 3);
  CHECK(header.cluster_bits == 16);
  CHECK(header.virtual_size == 1 << 30);
  CHECK(header.l1_offset == 3 << 16);
  CHECK(header.l1_entries == 2);
  CHECK(header.l1_entries_needed() == 2);
  CHECK(header.refcount_table_offset == 1 << 16);
  CHECK(header.refcount_table_clusters == 1);
  CHECK(header.header_length == 112);
  CHECK(header.is_dirty());
  CHECK(header.compatible_features == 1);
  CHECK(header.autoclear_features == 3);
  CHECK(header.backing_name.empty());
  CHECK(!header.backing_format);
  CHECK(header.codec == ClusterCodec::kDeflate);
  CHECK(header.encryption == Qcow2Encryption::kNone);
}

TEST_CASE("qcow2 header: version 2 has no feature words") {
  Header v2;
  v2.version2().put(72, 0, 8);
  v2.extension(72, 0xe2792aca, "raw");
  v2.backing("base.raw");
  const Qcow2Header header = v2.parse();
  CHECK(header.version == 2);
  CHECK(header.incompatible_features == 0);
  CHECK(header.refcount_order == 4);
  CHECK(header.header_length == 72);
  CHECK(header.backing_format == "raw");
  CHECK(header.backing_name == "base.raw");
}

TEST_CASE("qcow2 header: versions and magic") {
  CHECK(Header().put(0, 0x514649fa, 4).error() == "0: this is not a qcow2 image");
  CHECK(Header().put(4, 1, 4).error(ErrorKind::kUnsupported) ==
        "4: version 1 (qcow) is not supported");
  CHECK(Header().put(4, 4, 4).error(ErrorKind::kUnsupported) == "4: version 4 is not supported");
  CHECK(refused(4, 0, 4, ErrorKind::kUnsupported));
}

TEST_CASE("qcow2 header: fields out of range") {
  CHECK(refused(20, 8, 4));
  CHECK(refused(20, 22, 4));
  CHECK(refused(20, UINT32_MAX, 4));
  CHECK(refused(32, 3, 4, ErrorKind::kUnsupported));
  CHECK(accepted(32, 2, 4));  // described; open_qcow2 refuses it
  CHECK(refused(96, 7, 4));
  CHECK(accepted(96, 6, 4));
  CHECK(refused(100, 103, 4));
  CHECK(accepted(100, 104, 4));
  CHECK(accepted(100, 105, 4));
  CHECK(accepted(100, 65536, 4));
  CHECK(refused(100, 65537, 4));
  CHECK(refused(24, uint64_t{1} << 63, 8));
}

TEST_CASE("qcow2 header: the L1 table") {
  CHECK(refused(36, 1, 4));     // less than the size needs
  CHECK(accepted(36, 100, 4));  // more
  CHECK(accepted(24, (1 << 30) - 1, 8));
  CHECK(Header().put(24, (1 << 30) + 1, 8).error() ==
        "36: the L1 table has 2 entries, but the virtual size needs 3");
  CHECK(refused(40, (3 << 16) + 512, 8));
  CHECK(refused(40, 0, 8));
  CHECK(refused(40, 1 << 20, 8));
  CHECK(refused(40, 0x7fffffffffff0000, 8));
  CHECK(refused(40, 0xffffffffffff0000, 8));
  CHECK(refused(36, (32 << 20) / 8 + 1, 4));
  CHECK(Header().error(ErrorKind::kCorrupt, (3 << 16) + 16).empty());
  CHECK(Header().error(ErrorKind::kCorrupt, (3 << 16) + 15) ==
        "40: the L1 table (16 bytes at 196608) ends past the end of the file (196623 bytes)");
  // 32 MiB of it, in a file that has them.
  CHECK(Header().put(36, (32 << 20) / 8, 4).error(ErrorKind::kCorrupt, 64 << 20).empty());
  // No disk, no table.
  CHECK(Header().put(24, 0, 8).put(36, 0, 4).put(40, 1 << 20, 8).error().empty());
}

TEST_CASE("qcow2 header: refcount and snapshot tables") {
  CHECK(refused(56, 0, 4));
  CHECK(refused(56, 129, 4));
  CHECK(accepted(56, 128, 4));
  CHECK(refused(48, (1 << 16) + 8, 8));
  CHECK(refused(48, 0x7fffffffffff0000, 8));
  CHECK(refused(60, 65537, 4));
  CHECK(accepted(60, 65536, 4));
  CHECK(!Header().put(60, 1, 4).put(64, 100, 8).error().empty());
  CHECK(accepted(64, 100, 8));  // no snapshots: the offset means nothing
}

TEST_CASE("qcow2 header: compression type and its feature bit agree") {
  CHECK(Header().put(72, 8, 8).put(104, 1, 1).parse().codec == ClusterCodec::kZstd);
  CHECK(refused(72, 8, 8));
  CHECK(refused(104, 1, 1));
  CHECK(!Header().put(72, 8, 8).put(104, 2, 1).error(ErrorKind::kUnsupported).empty());
  // A header of 104 bytes has no such field: an extension begins there.
  CHECK(Header()
            .put(100, 104, 4)
            .put(104, 0xe2792aca, 4)
            .put(108, 3, 4)
            .text(112, "raw")
            .parse()
            .backing_format == "raw");
}

TEST_CASE("qcow2 header: features") {
  CHECK(Header().put(72, 0x17, 8).put(36, 4, 4).error() == "");  // described; open_qcow2 refuses
  CHECK(Header().put(72, 0x20, 8).error(ErrorKind::kUnsupported) ==
        "72: the image needs features that are not known here: bit 5");
  CHECK(refused(72, uint64_t{1} << 63, 8, ErrorKind::kUnsupported));
  Header named;
  const auto record = [](char type, char bit, std::string name) {
    name.resize(46);
    return std::string{type, bit} + name;
  };
  named.extension(112, 0x6803f857,
                  record(1, 5, "not this one") + record(0, 5, "time travel") +
                      record(0, 6, "bell\x07\x1b[2J") + record(0, 7, std::string(46, 'x')));
  CHECK(named.put(72, 0x120, 8).error(ErrorKind::kUnsupported) ==
        "72: the image needs features that are not known here: 'time travel' (bit 5), bit 8");
  CHECK(named.put(72, 0xc0, 8).error(ErrorKind::kUnsupported) ==
        "72: the image needs features that are not known here: 'bell??[2J' (bit 6), '" +
            std::string(46, 'x') + "' (bit 7)");
  // Extended L2 entries want clusters of 16 KiB or more.
  CHECK(!Header().put(20, 13, 4).put(72, 16, 8).put(36, 1000, 4).error().empty());
}

TEST_CASE("qcow2 header: backing file name") {
  CHECK(Header().backing("b").parse().backing_name == "b");
  CHECK(Header().backing(std::string(1023, 'n')).parse().backing_name.size() == 1023);
  CHECK(!Header().backing(std::string(1024, 'n')).error().empty());
  CHECK(Header().backing("1234", 65532).parse().backing_name == "1234");
  CHECK(!Header().put(8, 65533, 8).put(16, 4, 4).error().empty());
  CHECK(!Header().put(8, 65537, 8).put(16, 4, 4).error().empty());
  CHECK(!Header().put(8, UINT64_MAX, 8).put(16, 4, 4).error().empty());
  CHECK(!Header().backing(std::string("a\0b", 3)).error().empty());
  CHECK(Header().put(8, 1000, 8).parse().backing_name.empty());  // length 0: none
}

TEST_CASE("qcow2 header: extensions") {
  Header good;
  size_t at = good.extension(112, 0x12345678, "unknown");
  at = good.extension(at, 0xe2792aca, "qcow2");
  at = good.extension(at, 0x44415441, "data.raw");
  CHECK(good.parse().backing_format == "qcow2");
  CHECK(good.parse().data_file_name == "data.raw");

  Header twice;
  twice.extension(twice.extension(112, 0xe2792aca, "raw"), 0xe2792aca, "qcow2");
  CHECK(twice.error() == "136: the backing format is named twice");

  Header after_end;  // after the end marker nothing counts
  after_end.extension(120, 0xe2792aca, "raw");
  CHECK(!after_end.parse().backing_format);

  Header long_name;
  long_name.extension(112, 0xe2792aca, std::string(16, 'f'));
  CHECK(!long_name.error().empty());

  CHECK(!Header().put(112, 7, 4).put(116, 65536 - 119, 4).error().empty());
  CHECK(Header().put(112, 7, 4).put(116, 65536 - 120, 4).error().empty());
  CHECK(!Header().put(112, 7, 4).put(116, UINT32_MAX, 4).error().empty());
}

TEST_CASE("qcow2 header: without an end marker extensions stop at the backing name") {
  Header header;
  const size_t end = header.extension(112, 0xe2792aca, "raw");
  header.backing("base.qcow2 of many more bytes than one", end);
  CHECK(header.parse().backing_format == "raw");
  header.put(116, 9, 4);  // reaches into the name
  CHECK(!header.error().empty());
}

TEST_CASE("qcow2 header: cut at any byte") {
  Header whole;
  const size_t end = whole.extension(112, 0xe2792aca, "raw");
  whole.backing("base", end + 8);
  whole.put(72, 0, 8);
  for (size_t size = 0; size < end + 12; ++size) {
    Header cut = whole;
    cut.cut(size);
    CHECK(!cut.error().empty());
  }
  whole.cut(end + 12);
  CHECK(whole.parse().backing_name == "base");
}

TEST_CASE("qcow2 header: random damage gives an answer or an Error", "[alone]") {
  std::mt19937_64 random(11);
  Header good;
  good.extension(good.extension(112, 0xe2792aca, "raw"), 0x6803f857, std::string(96, 'x'));
  good.backing("base");
  for (int round = 0; round < 20000; ++round) {
    Header bad = good;
    for (int i = 0; i < 3; ++i) {
      bad.put(4 + random() % 230, random(), 1);
    }
    try {
      const Qcow2Header header = bad.parse();
      CHECK(header.l1_entries >= header.l1_entries_needed());
      CHECK(header.l1_entries <= (32 << 20) / 8);
    } catch (const Error&) {
    }
  }
}
