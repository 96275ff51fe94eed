// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_new_volume.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "lib/store/rbd/rbd_facts.h"
#include "lib/store/rbd/rbd_image.h"
#include "lib/store/rbd/rbd_names.h"
#include "lib/store/rbd/rbd_refusal.h"

namespace vmferry {
namespace {

// Monitors hear of usage every few seconds: so long a full pool may refuse.
constexpr std::chrono::seconds kRemovePatience{20};
// A client that was cut off is forgotten by the OSDs as soon as they hear of it.
constexpr std::chrono::seconds kCutOffPatience{5};

}  // namespace

RbdNewVolume::RbdNewVolume(const RbdLocation& location, const TargetOptions& options)
    : location_(location),
      partial_(partial_of(location)),
      options_(options),
      pool_(location, options.network.ceph, CephSharing::kOwn),
      flight_(location, pulse_) {}

std::string RbdNewVolume::old_name() const { return old_of(location_).image; }

RbdName RbdNewVolume::look_up(const std::string& name) const {
  return look_up_name(pool_.io(), location_, name);
}

Error RbdNewVolume::conflict(std::string action, std::string cause, std::string hint) const {
  return Error({.kind = ErrorKind::kConflict,
                .object = location_.display(),
                .action = std::move(action),
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void RbdNewVolume::begin() {
  refuse_unfit_pools(pool_, location_, options_.layout);
  if (options_.base) {
    base_.emplace(options_.base->inside<RbdLocation>(), pool_);
  }
  if (options_.before_making) {
    options_.before_making();
  }
  // Who was killed a moment ago holds the claim still.
  const std::chrono::seconds patience = options_.resume ? kClaimPatience : std::chrono::seconds(0);
  claim_.emplace(
      pool_, location_,
      RbdClaimWait{.patience = patience, .stop = options_.stop, .notice = options_.notice});
  pulse_.beat();
  const bool nothing_is_there =
      !claim_->replacement() &&
      are_unused(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  if (!nothing_is_there) {
    look_at_what_is_there();
  }
  if (!adopted_) {
    create();
  }
}

void RbdNewVolume::look_at_what_is_there() {
  finish_killed_run();
  refuse_half_replaced();
  find_old();
  pulse_.beat();
  if (!options_.resume || !adopt()) {
    clear_left_over();
  }
}

/// A run that was killed inside of a rename leaves one volume with two names; one that was killed
/// while it replaced a volume has written down which.
void RbdNewVolume::finish_killed_run() {
  const std::string action =
      "end what a killed run began: remove '" + old_of(location_).ceph_name() + "'";
  settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  const RbdName old = look_up(old_name());
  if (old.is_free() && !ids_being_removed(pool_.io(), location_, old_name()).empty()) {
    remove_old(action);
  }
  if (!claim_->replacement()) {
    return;
  }
  const RbdReplacement& was = *claim_->replacement();
  const RbdName final_name = look_up(location_.image);
  if (!old.leads_to(was.old_id)) {
    return;
  }
  if (final_name.leads_to(was.new_id)) {
    remove_old(action);
  }
  if (final_name.is_free()) {
    rename(old_name(), location_.image, was.old_id);
  }
}

/// False: there is nothing of that name. Throws as well for what somebody else's 'rbd create' or
/// 'rbd rm' has left, killed half-way.
bool RbdNewVolume::open_existing(RbdImage& image, const std::string& name) const {
  const RbdName ids = look_up(name);
  const int rc = image.open(pool_.io(), name, "", true);
  if (rc == -ENOENT && ids.is_free()) {
    return false;
  }
  if (rc < 0 && rc != -ENOENT) {
    throw rbd_error(rc, location_, "look for the volume " + name);
  }
  if (rc >= 0 && (ids.is_whole() || ids.is_free())) {
    return true;  // those of format 1 have no ids
  }
  const std::string spec = location_.beside(name).ceph_name();
  throw conflict(
      "create",
      "the name '" + spec +
          "' is taken by a volume that was never made, or removed, to "
          "its end",
      "'rbd rm " + spec + "' removes what is left of it, if no other client is at work on it");
}

void RbdNewVolume::refuse_half_replaced() const {
  RbdImage image;
  if (!open_existing(image, old_name())) {
    return;
  }
  const std::string old = old_of(location_).ceph_name();
  if (look_up(location_.image).is_free()) {
    throw conflict(
        "create",
        "an earlier run was stopped while it replaced this volume; what it replaced is '" + old +
            "'",
        fmt::format("rename it back ('rbd rename {} {}')", old, location_.ceph_name()));
  }
  throw conflict("create",
                 "an earlier run replaced this volume and was stopped before it removed the old "
                 "one, which is '" +
                     old + "'",
                 "when you are sure that it is not needed, remove it ('rbd rm " + old + "')");
}

void RbdNewVolume::find_old() {
  RbdImage existing;
  if (!open_existing(existing, location_.image)) {
    return;
  }
  const Identity identity = pool_.identity_of(existing.get(), location_);
  const auto& sources = options_.sources;
  if (std::find(sources.begin(), sources.end(), identity) != sources.end()) {
    throw conflict("create", "is what is being read", "choose another name");
  }
  if (!options_.force) {
    throw conflict("create", "the volume exists",
                   "choose another name, or replace it with --force");
  }
  old_.emplace(pool_, location_, existing);
}

/// Whoever made it is gone: the claim is ours. Only a client that is none of our kind, or an older
/// vmferry that claims nothing, may have it open.
void RbdNewVolume::clear_left_over() {
  if (!exists_in_part(pool_.io(), location_, partial_.image)) {
    return;
  }
  tell_of_left_over();
  const int rc = remove_rbd_image(
      pool_.io(), location_, partial_.image,
      {.patience = kCutOffPatience, .stop = {}, .pulse = pulse_, .with_snapshots = true});
  if (rc == -EBUSY) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = partial_.display(),
                 .action = "create",
                 .cause = "another vmferry is writing this target",
                 .hint = "wait for it to end; if it was killed, its claim ends after 30 seconds"});
  }
  if (rc < 0) {
    throw rbd_error(rc, partial_, "remove what a killed run left");
  }
}

void RbdNewVolume::create() {
  made_ = true;  // the name is ours: whatever comes of it, end() removes it
  make_image();
  look_at_new();
}

void RbdNewVolume::look_at_new() {
  std::array<char, 256> id = {};
  const int id_rc = rbd_get_id(image_.get(), id.data(), id.size());
  if (id_rc < 0) {
    throw rbd_error(id_rc, location_, "ask for its id");
  }
  id_ = id.data();
  data_pool_ = rbd_data_pool(pool_.io(), image_.get());
  flight_.set_data_pool(data_pool_);
  if (options_.made) {
    options_.made(pool_.identity_of(image_.get(), location_));
  }
}

void RbdNewVolume::publish() {
  const int rc = image_.close();
  if (rc < 0) {
    throw rbd_error(rc, location_, "close");
  }
  pulse_.beat();
  try {
    if (old_) {
      make_room();
    }
    rename(partial_.image, location_.image, id_);
  } catch (const Error& error) {
    if (!has_final_name(error)) {
      put_old_back();
      throw;
    }
  }
  published_ = true;
  remove_notes();
  if (!old_) {
    return;
  }
  remove_old("complete, but the volume it replaced could not be removed ('" +
             old_of(location_).ceph_name() + "')");
  replacing_ = false;
}

void RbdNewVolume::make_room() {
  old_->check_unchanged();
  claim_->note({old_->id(), id_});
  pulse_.beat();
  replacing_ = true;
  rename(location_.image, old_name(), old_->id());
  old_->check_let_go(old_name());
}

/// After `failure`: a rename may have been done, and its answer lost.
bool RbdNewVolume::has_final_name(const Error& failure) const {
  try {
    return look_up(location_.image).leads_to(id_);
  } catch (const Error&) {
    if (claim_->lost()) {
      throw failure;
    }
    ErrorParts parts = failure.parts();
    parts.cause += "; whether the new volume has got its name could not be asked";
    parts.hint =
        "'rbd info " + location_.ceph_name() + "' shows which volume it is; run this again";
    throw Error(std::move(parts));
  }
}

/// REQUIRES: called for an error, which says more than that it could not be put back alone.
void RbdNewVolume::put_old_back() {
  if (!old_) {
    return;
  }
  try {
    if (look_up(old_name()).leads_to(old_->id())) {
      rename(old_name(), location_.image, old_->id());
    }
    replacing_ = false;
  } catch (const Error& error) {
    const std::string old = old_of(location_).ceph_name();
    throw conflict("replace",
                   "the old volume could not get its name back and is '" + old + "' (" +
                       error.parts().cause + ")",
                   "'rbd rename " + old + " " + location_.ceph_name() + "' renames it back");
  }
}

/// Renames the image `id`, and no other. librbd can fail after it is done, and be done with the
/// wrong one: so the names are looked at before and after.
void RbdNewVolume::rename(const std::string& from, const std::string& to, const std::string& id) {
  claim_->check();
  if (!look_up(from).leads_to(id)) {
    throw conflict("rename " + from + " to " + to, "'" + from + "' became another volume meanwhile",
                   "'rbd ls' shows what there is");
  }
  const int rc = rbd_rename(pool_.io(), from.c_str(), to.c_str());
  pulse_.beat();
  if (rc < 0) {
    settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  }
  if (look_up(to).leads_to(id)) {
    return;
  }
  if (rc >= 0 || rc == -EEXIST) {
    throw conflict("publish", "a volume '" + to + "' was made meanwhile", "choose another name");
  }
  throw rbd_error(rc, location_, fmt::format("rename {} to {}", from, to));
}

/// REQUIRES: the new volume has its name. `action`: what fails where this does.
void RbdNewVolume::remove_old(const std::string& action) {
  const std::string old = old_of(location_).ceph_name();
  ErrorParts parts;
  try {
    const int rc = remove_rbd_image(pool_.io(), location_, old_name(),
                                    {.patience = kCutOffPatience, .stop = {}, .pulse = pulse_});
    if (rc >= 0) {
      return;
    }
    parts = rbd_error(rc, location_, action).parts();
    if (rc == -ENOTEMPTY) {
      parts.cause = "it has snapshots";
    }
  } catch (const Error& error) {
    parts = error.parts();
    parts.action = action;
  }
  parts.hint = "when it is not in use any more, remove it ('rbd snap purge " + old + "', 'rbd rm " +
               old + "')";
  throw Error(std::move(parts));
}

/// What another run took over is not ours to name.
std::vector<std::string> RbdNewVolume::end() noexcept {
  std::vector<std::string> left;
  flight_.stop_trying_again();
  flight_.wait();
  image_.close();
  pulse_.beat();
  if (made_ && !published_ && !kept_) {
    try {
      discard();
    } catch (const Error& error) {
      if (!claim_->taken_over()) {
        left.push_back(partial_left(error.parts().cause));
      }
    }
  }
  pulse_.beat();
  if (const int rc = claim_ ? claim_->release() : 0; rc < 0) {
    left.push_back("could not remove the claim of the target; the next run to it does, or '" +
                   claim_->removal() + "'");
  }
  return left;
}

std::string RbdNewVolume::partial_left(const std::string& cause) const {
  return "could not remove '" + partial_.ceph_name() + "': " + cause +
         "; the next run to this target removes it";
}

/// The image that we made may have its final name, though a rename failed.
void RbdNewVolume::discard() {
  claim_->check();
  settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  const int rc = remove_rbd_image(
      pool_.io(), location_, partial_.image,
      {.patience = kRemovePatience, .stop = {}, .pulse = pulse_, .with_snapshots = true});
  if (rc < 0) {
    throw rbd_error(rc, partial_, "remove");
  }
}

std::vector<std::string> RbdNewVolume::left_behind() const {
  const std::string old = old_of(location_).ceph_name();
  if (published_) {
    if (!replacing_) {
      return {};
    }
    return {
        "the copy is complete and has its name; the volume it replaced may still be there, as '" +
        old + "'; the next run to this target removes it"};
  }
  if (!made_) {
    return {};
  }
  std::vector<std::string> left;
  if (!kept_) {
    left.push_back(partial_left("the cluster does not answer"));
  }
  if (replacing_) {
    left.push_back("the volume that was to be replaced may be called '" + old +
                   "' now; the next run to this target renames it back, or 'rbd rename " + old +
                   " " + location_.ceph_name() + "'");
  }
  return left;
}

}  // namespace vmferry
