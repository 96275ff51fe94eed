// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/domain_properties.h"

#include "lib/domain/disk_spans.h"

namespace vmferry::test {
namespace {

bool moves_it(const std::vector<DiskMove>& moves, const DomainDisk& disk) {
  for (const DiskMove& move : moves) {
    if (move.disk == disk.target) {
      return true;
    }
  }
  return false;
}

/// The text with the disks that move cut out.
std::string without_moved(const Domain& domain, const std::vector<DiskMove>& moves) {
  const DomainSpans& spans = DomainSpans::of(domain);
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < spans.disks.size(); ++i) {
    if (!moves_it(moves, domain.disks[i])) {
      continue;
    }
    out.append(domain.text, at, spans.disks[i].whole.begin - at);
    at = spans.disks[i].whole.end;
  }
  return out.append(domain.text, at);
}

}  // namespace

std::vector<DiskMove> all_to_rbd(const Domain& domain) {
  RbdTarget target{.pool = "vms",
                   .monitors = {{"2001:db8::1", 6789}, {"mon2", 3300}},
                   .id = "libvirt",
                   .secret_usage = "a 'quoted' \"name\""};
  std::vector<DiskMove> moves;
  for (const DomainDisk& disk : domain.disks) {
    if (!disk.can_move()) {
      continue;
    }
    target.image = "v-" + std::to_string(moves.size());
    moves.push_back({.disk = disk.target, .to = target, .driver = {}, .drop_encryption = true});
  }
  return moves;
}

std::string broken_property(const Domain& before, const std::vector<DiskMove>& moves) {
  const Domain after = parse_domain(rewrite_disks(before, moves), "after");
  if (after.disks.size() != before.disks.size()) {
    return "the number of disks";
  }
  if (without_moved(before, moves) != without_moved(after, moves)) {
    return "text outside of disks";
  }
  for (const DiskMove& move : moves) {
    const auto& target = std::get<RbdTarget>(move.to);
    const DomainDisk& was = *before.find_disk(move.disk);
    const DomainDisk* disk = after.find_disk(move.disk);
    if (!disk) {
      return "a disk that is gone";
    }
    if (!disk->image.is_rbd() || disk->image.name != target.pool + "/" + target.image) {
      return "a disk that is not on its target";
    }
    if (disk->image.format != "raw") {
      return "a volume that is not raw";
    }
    if (!disk->backing.empty() || disk->encrypted || disk->mirrored) {
      return "something left over";
    }
    if (disk->bus != was.bus || disk->device != was.device || disk->readonly != was.readonly) {
      return "what the guest sees of a disk";
    }
  }
  if (rewrite_disks(after, moves) != after.text) {
    return "a second run";
  }
  return {};
}

}  // namespace vmferry::test
