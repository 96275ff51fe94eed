// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <unordered_map>
#include <vector>

#include "lib/domain/disk_spans.h"
#include "lib/domain/new_disk.h"
#include "lib/domain/targets.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

Error disk_error(ErrorKind kind, const Domain& domain, const std::string& disk, std::string cause,
                 std::string hint = {}) {
  return Error({.kind = kind,
                .object = domain.object,
                .action = disk,
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void require_qemu(const Domain& domain) {
  if (domain.type == "kvm" || domain.type == "qemu" || domain.type == "hvf") {
    return;
  }
  throw Error(
      {.kind = ErrorKind::kUnsupported,
       .object = domain.object,
       .action = {},
       .cause = fmt::format("is a domain of type '{}'; only QEMU runs disks on RBD", domain.type)});
}

const DomainDisk& require_disk(const Domain& domain, const std::string& target) {
  if (const DomainDisk* disk = domain.find_disk(target)) {
    return *disk;
  }
  std::string known;
  for (const DomainDisk& disk : domain.disks) {
    known += known.empty() ? "" : ", ";
    known += disk.target;
  }
  throw disk_error(ErrorKind::kNotFound, domain, target, "there is no such disk",
                   known.empty() ? "the domain has no disks" : "its disks are: " + known);
}

/// Why the disk cannot move to a place of that kind; empty: it can.
std::string obstacle(const DomainDisk& disk, const RbdTarget& /*to*/) {
  if (disk.image.is_rbd()) {
    return disk.stays_on_rbd.empty() ? "" : "cannot move: " + disk.stays_on_rbd;
  }
  return disk.can_move() ? "" : "cannot move: " + disk.stays;
}

std::string obstacle(const DomainDisk& disk, const FileTarget& /*to*/) {
  if (disk.image.is_rbd() && disk.device == "disk" && !disk.shareable) {
    return {};
  }
  return fmt::format(
      "cannot move to a file: it is not an RBD disk of this machine alone (it is a {} on {})",
      disk.device, disk.image.display());
}

void require_movable(const Domain& domain, const DomainDisk& disk, const DiskMove& move) {
  std::string cause = std::visit([&](const auto& to) { return obstacle(disk, to); }, move.to);
  if (!cause.empty()) {
    throw disk_error(ErrorKind::kUnsupported, domain, disk.target, std::move(cause));
  }
  if (disk.encrypted && !move.drop_encryption) {
    throw disk_error(ErrorKind::kUnsupported, domain, disk.target,
                     "is encrypted, and a copy of what the guest sees is not",
                     "if the copy may be plain, say --drop-encryption");
  }
}

/// Two disks that write to one image destroy it.
void refuse_shared_targets(const Domain& domain, std::span<const DiskMove> moves) {
  std::set<std::string> taken;
  std::set<std::string> moved;
  for (const DiskMove& move : moves) {
    if (!moved.insert(move.disk).second) {
      throw disk_error(ErrorKind::kUsage, domain, move.disk, "is named twice");
    }
    if (!taken.insert(display_name(move.to)).second) {
      throw disk_error(
          ErrorKind::kConflict, domain, move.disk,
          fmt::format("{} is the target of another disk as well", display_name(move.to)));
    }
  }
  for (const DomainDisk& disk : domain.disks) {
    if (moved.contains(disk.target) || !taken.contains(disk.image.display())) {
      continue;
    }
    throw disk_error(ErrorKind::kConflict, domain, disk.target,
                     fmt::format("is on {} already", disk.image.display()),
                     "choose another target for the disk that moves");
  }
}

/// What is written through one of two disks on one image is seen through the other: as long as
/// neither of them moves.
void refuse_shared_sources(const Domain& domain, std::span<const DiskMove> moves) {
  std::unordered_map<std::string, std::vector<const DomainDisk*>> disks_on;
  for (const DomainDisk& disk : domain.disks) {
    disks_on[disk.image.display()].push_back(&disk);
  }
  for (const DiskMove& move : moves) {
    const DomainDisk& disk = require_disk(domain, move.disk);
    if (is_on(disk, move.to)) {
      continue;
    }
    for (const DomainDisk* other : disks_on.at(disk.image.display())) {
      if (other == &disk) {
        continue;
      }
      throw disk_error(ErrorKind::kConflict, domain, move.disk,
                       fmt::format("is on {}, and so is {}: they would be two disks afterwards",
                                   disk.image.display(), other->target),
                       "take one of them out of the definition first");
    }
  }
}

/// A disk that is on its target already.
enum class There { kStays, kMadeAnew };

/// The text of the disk when it has moved; of the disk as it is, if it is there and stays.
std::string moved_text(const Domain& domain, const DomainSpans& spans, const DiskMove& move,
                       There there) {
  check_target(move.to);
  check_driver(move.driver);
  const DomainDisk& disk = require_disk(domain, move.disk);
  const DiskSpan& span = spans.disks[static_cast<size_t>(&disk - domain.disks.data())];
  if (!is_on(disk, move.to)) {
    require_movable(domain, disk, move);
  } else if (there == There::kStays) {
    return std::string(span.whole.of(domain.text));
  }
  return new_disk(domain, spans, span, move);
}

using TextChanges = std::vector<std::pair<Span, std::string>>;

Span place_of(const Domain& domain, const DomainSpans& spans, const DomainDisk& disk) {
  return spans.disks[static_cast<size_t>(&disk - domain.disks.data())].whole;
}

std::string changed(const std::string& text, TextChanges changes) {
  std::sort(changes.begin(), changes.end(),
            [](const auto& a, const auto& b) { return a.first.begin < b.first.begin; });
  std::string out;
  size_t at = 0;
  for (const auto& [span, replacement] : changes) {
    out += std::string_view(text).substr(at, span.begin - at);
    out += replacement;
    at = span.end;
  }
  return out + text.substr(at);
}

std::string rewrite(const Domain& domain, std::span<const DiskMove> moves, There there) {
  require_qemu(domain);
  const DomainSpans& spans = DomainSpans::of(domain);
  TextChanges changes;
  for (const DiskMove& move : moves) {
    std::string text = moved_text(domain, spans, move, there);
    changes.emplace_back(place_of(domain, spans, *domain.find_disk(move.disk)), std::move(text));
  }
  refuse_shared_targets(domain, moves);
  refuse_shared_sources(domain, moves);
  return changed(domain.text, std::move(changes));
}

}  // namespace

std::string rewrite_disks(const Domain& domain, std::span<const DiskMove> moves) {
  return rewrite(domain, moves, There::kStays);
}

std::string rewrite_moved_disks(const Domain& domain, std::span<const DiskMove> moves) {
  return rewrite(domain, moves, There::kMadeAnew);
}

std::string rewrite_disk(const Domain& domain, const DiskMove& move) {
  require_qemu(domain);
  refuse_shared_targets(domain, {&move, 1});
  return moved_text(domain, DomainSpans::of(domain), move, There::kStays);
}

std::string restore_disks(const Domain& domain, const Domain& original,
                          std::span<const std::string> targets) {
  const DomainSpans& spans = DomainSpans::of(domain);
  const DomainSpans& original_spans = DomainSpans::of(original);
  TextChanges changes;
  for (const std::string& target : targets) {
    const DomainDisk* now = domain.find_disk(target);
    const DomainDisk* before = original.find_disk(target);
    if (!now || !before) {
      continue;
    }
    changes.emplace_back(place_of(domain, spans, *now),
                         place_of(original, original_spans, *before).of(original.text));
  }
  return changed(domain.text, std::move(changes));
}

DriverOptions for_live_copy(DriverOptions driver) {
  if (!driver.discard) {
    driver.discard = "unmap";
  }
  if (!driver.detect_zeroes) {
    driver.detect_zeroes = "unmap";
  }
  return driver;
}

}  // namespace vmferry
