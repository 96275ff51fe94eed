// SPDX-License-Identifier: LGPL-2.1-or-later
// What an earlier run has left under the temporary name: taken up again, or known before it goes.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/shell_word.h"
#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_image.h"
#include "lib/store/rbd/rbd_marks.h"
#include "lib/store/rbd/rbd_new_volume.h"
#include "lib/store/rbd/rbd_stamp.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

constexpr const char* kNotes = "vmferry.";  // what keys of our metadata begin with
constexpr uint64_t kNotesAtOnce = 64;
constexpr std::chrono::seconds kAlonePatience{10};
constexpr size_t kRoom = kNotesAtOnce * (17 << 10);

/// The strings of rbd_metadata_list, each with a NUL at its end.
std::vector<std::string> split(const std::vector<char>& buffer, size_t length) {
  std::vector<std::string> texts;
  for (size_t at = 0; at < length;) {
    texts.emplace_back(buffer.data() + at, ::strnlen(buffer.data() + at, length - at));
    at += texts.back().size() + 1;
  }
  return texts;
}

/// Our metadata of the image. 0 or a negative code.
int list_notes(rbd_image_t image, std::map<std::string, std::string>& notes) {
  std::vector<char> keys(kRoom);
  std::vector<char> values(kRoom);
  for (std::string start = kNotes;;) {
    size_t keys_length = keys.size();
    size_t values_length = values.size();
    const int rc = rbd_metadata_list(image, start.c_str(), kNotesAtOnce, keys.data(), &keys_length,
                                     values.data(), &values_length);
    if (rc < 0) {
      return rc;
    }
    const std::vector<std::string> names = split(keys, keys_length);
    const std::vector<std::string> texts = split(values, values_length);
    for (size_t i = 0; i < std::min(names.size(), texts.size()); ++i) {
      if (!names[i].starts_with(kNotes)) {
        return 0;
      }
      notes[names[i]] = texts[i];
    }
    if (names.size() < kNotesAtOnce) {
      return 0;
    }
    start = names.back();
  }
}

std::map<std::string, std::string> notes_of(rbd_image_t image, const RbdLocation& partial) {
  std::map<std::string, std::string> notes;
  const int rc = list_notes(image, notes);
  if (rc < 0) {
    throw rbd_error(rc, partial, "read its checkpoints");
  }
  return notes;
}

}  // namespace

std::map<std::string, std::string> rbd_notes(const RbdLocation& volume,
                                             const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  const RbdLocation partial = partial_of(volume);
  RbdImage image;
  const int rc = image.open(pool.io(), partial.image, "", true);
  if (rc == -ENOENT) {
    return {};
  }
  if (rc < 0) {
    throw rbd_error(rc, partial, "open the unfinished copy");
  }
  return notes_of(image.get(), partial);
}

std::map<std::string, std::string> RbdNewVolume::read_notes() const {
  return notes_of(image_.get(), partial_);
}

void RbdNewVolume::write_note(const std::string& key, const std::string& text) {
  has_notes_ = true;
  const int rc = rbd_metadata_set(image_.get(), key.c_str(), text.c_str());
  pulse_.beat();
  if (rc < 0) {
    throw rbd_error(rc, partial_, "write a checkpoint");
  }
}

std::string RbdNewVolume::mark(const Point& point) {
  claim_->check();
  std::string name = mark_rbd_state(image_.get(), partial_, point);
  pulse_.beat();
  return name;
}

/// Whoever takes a snapshot of a volume that is being made has no state of the disk in it.
std::vector<std::string> RbdNewVolume::marks(const std::vector<Point>& states) const {
  std::vector<std::string> names;
  for (const SnapshotFacts& snapshot : read_rbd_snapshots(image_.get(), partial_)) {
    const size_t number = names.size();
    if (number == states.size() || !is_mark_of(image_.get(), snapshot, states[number])) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = partial_.display(),
                   .action = "go on with it",
                   .cause = "its snapshot '" + printable(snapshot.name) +
                            "' is not one that this copy made",
                   .hint = "if somebody else made it, and nobody needs it: rbd snap rm " +
                           shell_word(partial_.ceph_name() + "@" + snapshot.name) +
                           "; without --resume all of it is replaced"});
    }
    end_mark(image_.get(), snapshot, states[number]);
    names.push_back(snapshot.name);
  }
  return names;
}

/// Of the complete volume: until it has its name they are worth something. What stays does no harm.
void RbdNewVolume::remove_notes() {
  RbdImage image;
  std::map<std::string, std::string> notes;
  if (!has_notes_ || image.open(pool_.io(), location_.image, "", false) != 0 ||
      list_notes(image.get(), notes) != 0) {
    return;
  }
  for (const auto& [key, text] : notes) {
    rbd_metadata_remove(image.get(), key.c_str());
    pulse_.beat();
  }
}

/// A clone gets the metadata of its parent. What is not ours stays.
void RbdNewVolume::forget_notes_of_base() {
  std::map<std::string, std::string> notes;
  if (list_notes(image_.get(), notes) != 0) {
    return;
  }
  for (const auto& [key, text] : notes) {
    rbd_metadata_remove(image_.get(), key.c_str());
    pulse_.beat();
  }
}

/// False: there is nothing that could be gone on with.
bool RbdNewVolume::adopt() {
  if (!open_unfinished()) {
    return false;
  }
  adopted_ = true;
  made_ = true;
  has_notes_ = true;
  try {
    require_alone();
    require_same_layout();
    look_at_new();
  } catch (const Error&) {
    keep();
    throw;
  }
  return true;
}

/// What was not made to its end is none.
bool RbdNewVolume::open_unfinished() {
  if (!look_up(partial_.image).is_whole()) {
    return false;
  }
  const int rc = image_.open(pool_.io(), partial_.image, "", false);
  pulse_.beat();
  if (rc == -ENOENT) {
    return false;
  }
  if (rc < 0) {
    throw rbd_error(rc, partial_, "open the unfinished copy");
  }
  return true;
}

/// Who else has it open may write to it after it was looked at. A client that was killed is
/// forgotten when its claim is taken over.
void RbdNewVolume::require_alone() {
  const auto deadline = std::chrono::steady_clock::now() + kAlonePatience;
  while (count_writers(image_.get(), partial_) > 1) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error({.kind = ErrorKind::kConflict,
                   .object = partial_.display(),
                   .action = "go on with it",
                   .cause = "another client has it open",
                   .hint = "'rbd status " + partial_.ceph_name() + "' tells which"});
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    pulse_.beat();
  }
}

/// A volume that was asked for otherwise would not be what is wanted now.
void RbdNewVolume::require_same_layout() const {
  const RbdFacts facts = read_rbd_facts(pool_.io(), image_.get(), partial_);
  const RbdLayout& layout = options_.layout;
  const auto refuse = [&](const std::string& was, const std::string& is) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = partial_.display(),
                 .action = "go on with it",
                 .cause = "it was made with " + was + ", not with " + is,
                 .hint = "without --resume it is replaced"});
  };
  const auto check = [&](const char* what, const std::optional<uint64_t>& wanted, uint64_t found) {
    if (wanted && *wanted != found) {
      refuse(fmt::format("{} {}", what, found), std::to_string(*wanted));
    }
  };
  uint64_t size = 0;
  if (const int rc = rbd_get_size(image_.get(), &size); rc < 0) {
    throw rbd_error(rc, partial_, "ask for its size");
  }
  // With snapshots it has the size of one of the states that it is a copy of.
  if (size != options_.size && facts.snapshots.empty()) {
    refuse("a size of " + exact_bytes(size), exact_bytes(options_.size));
  }
  if (options_.marks == 0 && !facts.snapshots.empty()) {
    refuse(fmt::format("snapshots ({})", facts.snapshots.size()), "none");
  }
  check("objects of", layout.object_size, facts.object_size);
  check("the stripe unit", layout.stripe_unit, facts.stripe_unit);
  check("the stripe count", layout.stripe_count, facts.stripe_count);
  uint64_t features = 0;
  if (const int rc = rbd_get_features(image_.get(), &features); rc < 0) {
    throw rbd_error(rc, partial_, "ask for its features");
  }
  if (!has_features(features, layout, location_)) {
    refuse(fmt::format("the features {}", fmt::join(facts.features, ",")),
           fmt::format("{}", fmt::join(layout.features, ",")));
  }
  if (std::find(facts.features.begin(), facts.features.end(), "journaling") !=
      facts.features.end()) {
    refuse("the feature journaling, with which a copy cannot be resumed", "another layout");
  }
  if (!layout.data_pool.empty() && layout.data_pool != facts.data_pool) {
    refuse("the data pool '" + facts.data_pool + "'", "'" + layout.data_pool + "'");
  }
}

/// Somebody may want to know of what is about to be removed.
void RbdNewVolume::tell_of_left_over() const {
  RbdImage image;
  std::map<std::string, std::string> notes;
  if (!options_.notice || image.open(pool_.io(), partial_.image, "", true) != 0 ||
      list_notes(image.get(), notes) != 0 || notes.empty()) {
    return;
  }
  const auto used = used_bytes({pool_.io(), image.get(), {}}, options_.size);
  options_.notice(
      fmt::format("{}: an unfinished copy of it{} is removed (--resume goes on with one)",
                  location_.display(), used ? ", with " + about_bytes(*used) + "," : ""));
}

}  // namespace vmferry
