// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/format/foreign/tar.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "lib/format/foreign/image_bytes.h"

namespace vmferry {
namespace {

constexpr uint64_t kBlock = 512;
constexpr size_t kMostHeaders = 4096;
constexpr uint64_t kLongestExtension = 64 << 10;

struct TarHeader {
  std::string name;
  uint64_t size = 0;
  char type = 0;
};

/// What an extended header says of the member after it.
struct Extension {
  std::string name;
  std::optional<uint64_t> size;
};

std::string_view tar_field(std::string_view block, size_t offset, size_t length) {
  const std::string_view all = block.substr(offset, length);
  return all.substr(0, std::min(all.find('\0'), all.size()));
}

std::optional<uint64_t> number_of(std::string_view text, int base) {
  const size_t first = text.find_first_not_of(' ');
  text.remove_prefix(std::min(first, text.size()));
  text = text.substr(0, std::min(text.find(' '), text.size()));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

/// Octal digits, or a binary number after a mark where they are too few.
std::optional<uint64_t> tar_number(std::string_view block, size_t offset, size_t length) {
  const std::string_view field = block.substr(offset, length);
  constexpr unsigned char kBinary = 0x80;
  if (static_cast<unsigned char>(field[0]) != kBinary) {
    return number_of(tar_field(block, offset, length), 8);
  }
  constexpr size_t kWord = 8;
  if (field.substr(1, length - 1 - kWord).find_first_not_of('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  uint64_t value = 0;
  for (const char c : field.substr(length - kWord)) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return value;
}

bool has_right_sum(std::string_view block) {
  constexpr size_t kSumAt = 148;
  constexpr size_t kSumBytes = 8;
  uint64_t sum = kSumBytes * ' ';
  for (size_t i = 0; i < block.size(); ++i) {
    if (i < kSumAt || i >= kSumAt + kSumBytes) {
      sum += static_cast<unsigned char>(block[i]);
    }
  }
  return number_of(tar_field(block, kSumAt, kSumBytes), 8) == sum;
}

/// "27 path=a name of a file\n" and so on: POSIX, pax.
void read_pax(const Source& archive, uint64_t offset, std::string_view text, Extension& extension) {
  while (!text.empty()) {
    const size_t space = std::min(text.find(' '), text.size());
    const std::optional<uint64_t> length = number_of(text.substr(0, space), 10);
    if (!length || *length > text.size() || *length < space + 2) {
      throw corrupt_image(archive, offset, "its extended header makes no sense");
    }
    const std::string_view record = text.substr(space + 1, *length - space - 2);
    constexpr std::string_view kPath = "path=";
    constexpr std::string_view kSize = "size=";
    if (record.starts_with(kPath)) {
      extension.name = record.substr(kPath.size());
    } else if (record.starts_with(kSize)) {
      extension.size = number_of(record.substr(kSize.size()), 10);
    }
    text.remove_prefix(*length);
  }
}

class TarReader {
 public:
  explicit TarReader(const Source& archive) : archive_(archive) {}

  std::vector<TarMember> list() {
    for (size_t count = 0; at_ < archive_.size(); ++count) {
      if (count == kMostHeaders) {
        throw unsupported_image(
            archive_, "the archive has more than " + std::to_string(kMostHeaders) + " members");
      }
      const std::string block = text(at_, kBlock);
      if (block.find_first_not_of('\0') == std::string::npos) {
        break;  // its end
      }
      take(header_of(block));
    }
    return std::move(members_);
  }

 private:
  std::string text(uint64_t offset, uint64_t length) const {
    const auto bytes = image_bytes(archive_, offset, length, "member");
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  TarHeader header_of(const std::string& block) const {
    const std::optional<uint64_t> size = tar_number(block, 124, 12);
    if (!size || !has_right_sum(block)) {
      throw corrupt_image(archive_, at_, "here should be the header of a member of the archive");
    }
    const bool is_ustar = tar_field(block, 257, 5) == "ustar" && block[262] == '\0';
    const std::string_view prefix = is_ustar ? tar_field(block, 345, 155) : "";
    return {.name = std::string(prefix) + (prefix.empty() ? "" : "/") +
                    std::string(tar_field(block, 0, 100)),
            .size = *size,
            .type = block[156]};
  }

  void take(TarHeader header) {
    const uint64_t data = at_ + kBlock;
    const bool extends = header.type == 'x' || header.type == 'g' || header.type == 'L';
    if (!extends && extension_.size) {
      header.size = *extension_.size;
    }
    if (data > archive_.size() || header.size > archive_.size() - data) {
      throw corrupt_image(archive_, at_,
                          "a member of the archive would end beyond the end of the file");
    }
    at_ = data + (header.size + kBlock - 1) / kBlock * kBlock;
    if (extends) {
      extend(header, data);
      return;
    }
    if (header.type == '0' || header.type == '\0') {
      members_.push_back(
          {extension_.name.empty() ? header.name : extension_.name, data, header.size});
    }
    extension_ = {};
  }

  void extend(const TarHeader& header, uint64_t data) {
    if (header.size > kLongestExtension) {
      throw corrupt_image(archive_, data, "its extended header is too long");
    }
    const std::string what = text(data, header.size);
    if (header.type == 'x') {
      read_pax(archive_, data, what, extension_);
    } else if (header.type == 'L') {
      extension_.name = what.substr(0, what.find('\0'));
    }
  }

  const Source& archive_;
  uint64_t at_ = 0;
  Extension extension_;
  std::vector<TarMember> members_;
};

}  // namespace

std::vector<TarMember> list_tar(const Source& archive) { return TarReader(archive).list(); }

}  // namespace vmferry
