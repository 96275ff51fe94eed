// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <chrono>
#include <thread>

#include "tests/unit/fake_storage.h"
#include "vmferry/copy_breaks.h"

// Copies of images that are changed meanwhile. A sector of the world is a cluster of a disk.

namespace vmferry::test {
namespace {

using std::chrono::steady_clock;

/// What is unfinished, as copy() calls it.
std::string half_made(const std::string& volume) { return volume + ".part"; }

class AttachedBreaks {
 public:
  explicit AttachedBreaks(const CopyTerms& terms) : breaks_(*terms.breaks) {
    breaks_.attach([] { return nullptr; }, terms.stop);
  }
  ~AttachedBreaks() { breaks_.detach(); }
  AttachedBreaks(const AttachedBreaks&) = delete;
  AttachedBreaks& operator=(const AttachedBreaks&) = delete;

 private:
  CopyBreaks& breaks_;
};

class LargeOverlays {
 public:
  explicit LargeOverlays(World& world) : world_(world) { say(true); }
  ~LargeOverlays() { say(false); }
  LargeOverlays(const LargeOverlays&) = delete;
  LargeOverlays& operator=(const LargeOverlays&) = delete;

 private:
  void say(bool large) {
    const std::lock_guard lock(world_.mutex);
    world_.large_overlays = large;
  }

  World& world_;
};

}  // namespace

void FakeStorage::copy_part(const std::string& call, const std::string& from, const std::string& to,
                            const ByteRanges& part, CopyBreaks& breaks) {
  const CopyBreaks::Reading reading(breaks);
  world_->call(call, [&] {
    const Content before = world_->view(from);
    Image& target = world_->require_image(to);
    world_->middle();
    for (unsigned sector = 0; sector < kSectors; ++sector) {
      if (!part.run_at(sector * kClusterBytes, kClusterBytes).may_differ) {
        continue;
      }
      target.own.erase(sector);
      if (const auto found = before.find(sector); found != before.end()) {
        target.own[sector] = found->second;
      }
    }
    if (world_->view(from) != before) {
      world_->wrong(call + " of " + from + ", which changes");
    }
  });
}

void FakeStorage::copy_changed(const std::string& from, const std::string& to, CopyBreaks& breaks) {
  while (!breaks.close()) {
    const ByteRanges pass = breaks.take();
    if (!pass.empty()) {
      copy_part("copy_again", from, to, pass, breaks);
    }
  }
}

/// The overlays are large only meanwhile: how far threads are says nothing about how many rungs
/// there will be.
void FakeStorage::wait_for_rung(const CopyTerms& terms) {
  const LargeOverlays large(*world_);
  const auto give_up = steady_clock::now() + std::chrono::seconds(20);
  const auto runs = [this] {
    const std::lock_guard lock(world_->mutex);
    const auto& domains = world_->hosts.at("alpha").domains;
    return std::any_of(domains.begin(), domains.end(),
                       [](const auto& domain) { return domain.second.active(); });
  };
  while (terms.breaks->changed_bytes() == 0 && runs() && steady_clock::now() < give_up) {
    if (terms.stop.stop_requested()) {
      throw cancelled_error();
    }
    { const CopyBreaks::Reading more(*terms.breaks); }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

CopyDone FakeStorage::copy_on_rungs(const HostImage& image, const VolumeName& volume,
                                    const CopyTerms& terms, const Made& made) {
  const std::string from = image.display();
  const std::string part = half_made(volume.display());
  const AttachedBreaks attached(terms);
  world_->call("copy_in", [&] {
    refuse_existing(volume.display());
    world_->images[part] = {.format = "raw", .size = world_->require_image(from).size};
    world_->checkpoints.erase(part);
  });
  ByteRanges first;
  first.add(0, kSectors / 2 * kClusterBytes);
  ByteRanges second;
  second.add(kSectors / 2 * kClusterBytes, kSectors / 2 * kClusterBytes);
  try {
    copy_part("copy_first", from, part, first, *terms.breaks);
    wait_for_rung(terms);
    copy_part("copy_second", from, part, second, *terms.breaks);
    copy_changed(from, part, *terms.breaks);
    world_->call("publish", [&] {
      Image whole = world_->require_image(part);
      world_->images.erase(part);
      create(volume.display(), std::move(whole), made);
    });
  } catch (const Error&) {
    const std::lock_guard lock(world_->mutex);
    world_->images.erase(part);
    throw;
  }
  return {};
}

CopyDone FakeStorage::copy_changed_in(const HostImage& image, const VolumeName& volume,
                                      const CopyTerms& terms) {
  const AttachedBreaks attached(terms);
  copy_changed(image.display(), volume.display(), *terms.breaks);
  return {};
}

ByteRanges FakeStorage::own_ranges(const HostImage& image) {
  return world_->call("own_ranges", [&] {
    ByteRanges own;
    for (const auto& [sector, value] : world_->require_image(image.display()).own) {
      own.add(sector * kClusterBytes, kClusterBytes);
    }
    return own;
  });
}

}  // namespace vmferry::test
