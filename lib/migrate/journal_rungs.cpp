// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "lib/migrate/journal.h"

// Which overlays the disks of a run are on, where those are not the ones that it was planned with.

namespace vmferry::migrate {
namespace {

/// "/img/a.vmferry-sync-1.qcow2" of the third rung: "/img/a.vmferry-sync-1-3.qcow2".
std::string overlay_of_rung(const std::string& first, unsigned rung) {
  const std::string suffix = ".qcow2";
  if (rung < 2 || first.empty()) {
    return first;
  }
  const size_t stem = first.ends_with(suffix) ? first.size() - suffix.size() : first.size();
  return fmt::format("{}-{}{}", first.substr(0, stem), rung, first.substr(stem));
}

unsigned number_of(const std::optional<std::string>& text) {
  return text ? static_cast<unsigned>(std::strtoul(text->c_str(), nullptr, 10)) : 0;
}

}  // namespace

unsigned Journal::rung() const { return std::max(number_of(recorded(kRung)), 1U); }

void Journal::name_overlays() {
  const unsigned now = rung();
  const unsigned next = number_of(recorded(kNextRung));
  for (MovingDisk& disk : plan_.disks) {
    const std::string& first = first_overlays_.emplace(disk.dev, disk.overlay).first->second;
    disk.overlay = overlay_of_rung(first, now);
    disk.next_overlay = next == 0 ? "" : overlay_of_rung(first, next);
  }
}

std::string Journal::overlay(const MovingDisk& disk, unsigned rung) const {
  return overlay_of_rung(first_overlays_.at(disk.dev), rung);
}

void Journal::begin_rung(unsigned rung) {
  {
    const std::lock_guard lock(*mutex_);
    texts_[kNextRung] = std::to_string(rung);
  }
  name_overlays();
  const std::lock_guard lock(*mutex_);
  save();
}

void Journal::end_rung(bool is_on_them) {
  {
    const std::lock_guard lock(*mutex_);
    if (is_on_them) {
      texts_[kRung] = texts_[kNextRung];
    }
    texts_.erase(kNextRung);
  }
  name_overlays();
  const std::lock_guard lock(*mutex_);
  save();
}

}  // namespace vmferry::migrate
