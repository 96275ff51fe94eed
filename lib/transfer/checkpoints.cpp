// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/transfer/checkpoints.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/xxh64.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

using nlohmann::json;

constexpr const char* kHeader = "vmferry.checkpoint";
constexpr const char* kBlocks = "vmferry.blocks.";
constexpr int kVersion = 1;
constexpr uint64_t kBlocksPerNote = 256;  // 1 GiB, in 5.6 KB of text
constexpr uint64_t kPiecesPerNote = kBlocksPerNote / DiskDigest::kBlocksPerPiece;
constexpr char kUnknown = '-';
constexpr size_t kLengthDigits = 6;
constexpr size_t kHashDigits = 16;

std::optional<uint64_t> number_in(std::string_view text) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number)
                                                                  : std::nullopt;
}

/// The blocks of one note: "-" for one that is not known, otherwise length and hash.
std::string encode(const DiskDigest& digest, uint64_t first) {
  std::string text;
  const uint64_t end = std::min(first + kBlocksPerNote, digest.blocks());
  for (uint64_t index = first; index < end; ++index) {
    if (const auto block = digest.find(index)) {
      text += fmt::format("{:06x}{:016x}", block->length, block->hash);
    } else {
      text += kUnknown;
    }
  }
  return text;
}

/// Nothing: it is not what encode() makes for `digest`.
std::optional<std::vector<DiskDigest::Known>> decode(std::string_view text, uint64_t first,
                                                     const DiskDigest& digest) {
  std::vector<DiskDigest::Known> blocks;
  const uint64_t end = std::min(first + kBlocksPerNote, digest.blocks());
  for (uint64_t index = first; index < end; ++index) {
    if (text.starts_with(kUnknown)) {
      text.remove_prefix(1);
      continue;
    }
    const auto length = number_in(text.substr(0, kLengthDigits));
    const auto hash = number_in(text.substr(std::min(text.size(), kLengthDigits), kHashDigits));
    const uint64_t room = std::min(DiskDigest::kBlock, digest.size() - index * DiskDigest::kBlock);
    if (text.size() < kLengthDigits + kHashDigits || !length || !hash || *length > room) {
      return std::nullopt;
    }
    blocks.push_back({index, {static_cast<uint32_t>(*length), *hash}});
    text.remove_prefix(kLengthDigits + kHashDigits);
  }
  return text.empty() ? std::optional(std::move(blocks)) : std::nullopt;
}

/// The stamp in a header; nothing: another version wrote it.
std::optional<std::string> stamp_in(const std::string& header) {
  const json found = json::parse(header, nullptr, false);
  if (!found.is_object() || !found.contains("version") || !found["version"].is_number_integer() ||
      found.value("version", 0) > kVersion) {
    return std::nullopt;
  }
  const auto source = found.find("source");
  return source != found.end() && source->is_string() ? *source : json("");
}

/// What of two stamps differs, for people.
std::string difference(const std::string& was, const std::string& is) {
  const auto words = [](std::string_view text) {
    std::vector<std::string> parts;
    for (size_t at = 0; at <= text.size();) {
      const size_t end = std::min(text.find(", ", at), text.size());
      parts.emplace_back(text.substr(at, end - at));
      at = end + 2;
    }
    return parts;
  };
  const std::vector<std::string> before = words(was);
  const std::vector<std::string> now = words(is);
  for (size_t i = 0; i < std::min(before.size(), now.size()); ++i) {
    if (before[i] != now[i]) {
      return fmt::format("it was '{}', it is '{}' now", printable(before[i]), now[i]);
    }
  }
  return fmt::format("it was '{}', it is '{}' now", printable(was), is);
}

}  // namespace

bool is_checkpoint_of(const std::string& stamp, const std::map<std::string, std::string>& notes) {
  const auto header = notes.find(kHeader);
  const auto blocks = notes.lower_bound(kBlocks);
  return header != notes.end() && stamp_in(header->second) == stamp && blocks != notes.end() &&
         blocks->first.starts_with(kBlocks);
}

Checkpoints::Checkpoints(TargetNotes& notes, std::string target, std::string stamp, uint64_t size)
    : notes_(notes), target_(std::move(target)), stamp_(std::move(stamp)), size_(size) {}

std::string Checkpoints::header() const {
  return json{{"version", kVersion}, {"source", stamp_}, {"size", size_}}.dump(
      -1, ' ', true, json::error_handler_t::replace);
}

std::string Checkpoints::sum_of(const std::string& key, const std::string& text) const {
  Xxh64 sum;
  for (const std::string* part : {&stamp_, &key, &text}) {
    sum.add(std::as_bytes(std::span(*part)));
    sum.add_zeros(1);
  }
  return fmt::format("{:016x}", sum.hash());
}

void Checkpoints::require_same_source(const std::string& header) const {
  const std::optional<std::string> was = stamp_in(header);
  if (!was) {
    throw cannot_go_on("another version of vmferry wrote its checkpoints");
  }
  if (*was != stamp_) {
    throw cannot_go_on("the source is not what was copied then: " + difference(*was, stamp_));
  }
}

Error Checkpoints::cannot_go_on(std::string cause) const {
  return Error({.kind = ErrorKind::kConflict,
                .object = target_,
                .action = "go on with the unfinished copy",
                .cause = std::move(cause),
                .hint = "without --resume it is replaced by a new one"});
}

void Checkpoints::load(DiskDigest& digest) const {
  const auto notes = notes_.read();
  const auto header = notes.find(kHeader);
  if (header == notes.end()) {
    return;
  }
  require_same_source(header->second);
  const std::string_view prefix = kBlocks;
  for (auto note = notes.lower_bound(kBlocks);
       note != notes.end() && note->first.starts_with(prefix); ++note) {
    const auto& [key, text] = *note;
    const auto number = number_in(std::string_view(key).substr(prefix.size()));
    const size_t body = text.size() - std::min(text.size(), kHashDigits);
    if (!number || *number > digest.blocks() / kBlocksPerNote ||
        text.substr(body) != sum_of(key, text.substr(0, body))) {
      continue;
    }
    const auto blocks =
        decode(std::string_view(text).substr(0, body), *number * kBlocksPerNote, digest);
    for (const DiskDigest::Known& block : blocks.value_or(std::vector<DiskDigest::Known>())) {
      digest.set(block.index, block.digest);
    }
  }
}

void Checkpoints::note_changed(const std::vector<uint64_t>& pieces) {
  for (const uint64_t piece : pieces) {
    waiting_.insert(piece / kPiecesPerNote);
  }
}

void Checkpoints::save(const DiskDigest& digest, Sink& sink) {
  if (waiting_.empty()) {
    return;
  }
  // What is known now was handed to the sink before: the barrier makes that durable, and maybe
  // more.
  std::vector<std::pair<std::string, std::string>> notes;
  for (const uint64_t number : waiting_) {
    std::string key = fmt::format("{}{:06x}", kBlocks, number);
    std::string text = encode(digest, number * kBlocksPerNote);
    text += sum_of(key, text);
    notes.emplace_back(std::move(key), std::move(text));
  }
  sink.barrier();
  try {
    if (!saved_) {
      notes_.write(kHeader, header());
    }
    for (const auto& [key, text] : notes) {
      notes_.write(key, text);
    }
  } catch (const Error&) {
    return;
  }
  waiting_.clear();
  saved_ = true;
}

}  // namespace vmferry
