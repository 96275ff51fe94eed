// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd_new_volume.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "lib/store/rbd_image.h"
#include "lib/store/rbd_names.h"
#include "lib/store/rbd_refusal.h"

namespace vmferry {
namespace {

constexpr const char* kOldSuffix = ".vmferry-old";
// Monitors hear of usage every few seconds: so long a full pool may refuse.
constexpr std::chrono::seconds kRemovePatience{20};
// A client that was cut off is forgotten by the OSDs as soon as they hear of it.
constexpr std::chrono::seconds kCutOffPatience{5};

}  // namespace

RbdNewVolume::RbdNewVolume(const RbdLocation& location, const TargetOptions& options)
    : location_(location),
      partial_(partial_of(location)),
      options_(options),
      pool_(location, options.ceph),
      flight_(location, pulse_) {}

std::string RbdNewVolume::old_name() const { return location_.image + kOldSuffix; }

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
  if (options_.before_making) options_.before_making();
  claim_.emplace(pool_, location_);
  pulse_.beat();
  finish_killed_run();
  refuse_half_replaced();
  refuse_half_made();
  find_old();
  pulse_.beat();
  clear_left_over();
  create();
}

/// A run that was killed inside of a rename leaves one volume with two names; one that was killed
/// while it replaced a volume has written down which.
void RbdNewVolume::finish_killed_run() {
  settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  const RbdName old = look_up(old_name());
  if (old.is_free() && !ids_being_removed(pool_.io(), location_, old_name()).empty()) remove_old();
  if (!claim_->replacement()) return;
  const RbdReplacement& was = *claim_->replacement();
  const RbdName final_name = look_up(location_.image);
  if (!old.leads_to(was.old_id)) return;
  if (final_name.leads_to(was.new_id)) remove_old();
  if (final_name.is_free()) rename(old_name(), location_.image, was.old_id);
}

void RbdNewVolume::refuse_half_replaced() const {
  if (look_up(old_name()).is_free()) return;
  const std::string old = location_.beside(old_name()).ceph_name();
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

/// What somebody else's 'rbd create' or 'rbd rm' has left, killed half-way.
void RbdNewVolume::refuse_half_made() const {
  const RbdName name = look_up(location_.image);
  if (name.is_free()) return;
  if (name.is_whole()) {
    RbdImage image;
    const int rc = image.open(pool_.io(), location_.image, "", true);
    if (rc >= 0) return;
    if (rc != -ENOENT) throw rbd_error(rc, location_, "look for an existing volume");
  }
  const std::string spec = location_.ceph_name();
  throw conflict("create",
                 "the name is taken by a volume that was never made, or removed, to its end",
                 "'rbd rm " + spec + "' removes what is left of it, if nobody is at it just now");
}

void RbdNewVolume::find_old() {
  RbdImage existing;
  const int rc = existing.open(pool_.io(), location_.image, "", true);
  if (rc == -ENOENT) return;
  if (rc < 0) throw rbd_error(rc, location_, "look for an existing volume");
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
  if (!exists_in_part(pool_.io(), location_, partial_.image)) return;
  const int rc = remove_rbd_image(pool_.io(), location_, partial_.image,
                                  {.patience = kCutOffPatience, .stop = {}, .pulse = pulse_});
  if (rc == -EBUSY) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = partial_.display(),
                 .action = "create",
                 .cause = "another vmferry is writing this target",
                 .hint = "wait for it to end; if it was killed, its claim ends after 30 seconds"});
  }
  if (rc < 0) throw rbd_error(rc, partial_, "remove what a killed run left");
}

void RbdNewVolume::create() {
  made_ = true;  // the name is ours: whatever comes of it, end() removes it
  create_rbd_image(pool_.io(), partial_.image, options_.size, options_.layout, location_);
  const int rc = image_.open(pool_.io(), partial_.image, "", false);
  if (rc < 0) throw rbd_error(rc, location_, "open the new volume");
  id_ = look_up(partial_.image).by_object;
}

void RbdNewVolume::publish() {
  const int rc = image_.close();
  if (rc < 0) throw rbd_error(rc, location_, "close");
  pulse_.beat();
  try {
    if (old_) make_room();
    rename(partial_.image, location_.image, id_);
  } catch (const Error& error) {
    if (!has_final_name(error)) {
      put_old_back();
      throw;
    }
  }
  published_ = true;
  if (old_) remove_old();
}

void RbdNewVolume::make_room() {
  old_->check_unchanged();
  claim_->note({old_->id(), id_});
  pulse_.beat();
  rename(location_.image, old_name(), old_->id());
  old_->check_let_go(old_name());
}

/// After `failure`: a rename may have been done, and its answer lost.
bool RbdNewVolume::has_final_name(const Error& failure) const {
  try {
    return look_up(location_.image).leads_to(id_);
  } catch (const Error&) {
    ErrorParts parts = failure.parts();
    parts.cause += "; whether the new volume has got its name could not be asked";
    parts.hint =
        "'rbd info " + location_.ceph_name() + "' shows which volume it is; run this again";
    throw Error(std::move(parts));
  }
}

/// REQUIRES: called for an error, which says more than that it could not be put back alone.
void RbdNewVolume::put_old_back() {
  if (!old_) return;
  try {
    if (!look_up(old_name()).leads_to(old_->id())) return;
    rename(old_name(), location_.image, old_->id());
  } catch (const Error& error) {
    const std::string old = location_.beside(old_name()).ceph_name();
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
  if (rc < 0) settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  if (look_up(to).leads_to(id)) return;
  if (rc >= 0 || rc == -EEXIST) {
    throw conflict("publish", "somebody made a volume '" + to + "' meanwhile",
                   "choose another name");
  }
  throw rbd_error(rc, location_, fmt::format("rename {} to {}", from, to));
}

/// REQUIRES: the new volume has its name.
void RbdNewVolume::remove_old() {
  const std::string old = location_.beside(old_name()).ceph_name();
  const std::string action =
      "complete, but the volume it replaced could not be removed ('" + old + "')";
  ErrorParts parts;
  try {
    const int rc = remove_rbd_image(pool_.io(), location_, old_name(),
                                    {.patience = kCutOffPatience, .stop = {}, .pulse = pulse_});
    if (rc >= 0) return;
    parts = rbd_error(rc, location_, action).parts();
  } catch (const Error& error) {
    parts = error.parts();
    parts.action = action;
  }
  parts.hint = "when nobody uses it any more, remove it ('rbd rm " + old + "')";
  throw Error(std::move(parts));
}

std::vector<std::string> RbdNewVolume::end() noexcept {
  std::vector<std::string> left;
  flight_.wait();
  image_.close();
  pulse_.beat();
  if (made_ && !published_) {
    try {
      discard();
    } catch (const Error& error) {
      left.push_back("could not remove '" + partial_.ceph_name() + "': " + error.parts().cause +
                     "; the next run to this target removes it");
    }
  }
  pulse_.beat();
  const int rc = claim_ ? claim_->release() : 0;
  if (rc < 0) {
    left.push_back(
        fmt::format("could not remove '{}' from the pool '{}'; the next run to this "
                    "target does",
                    claim_->object(), location_.pool));
  }
  return left;
}

/// The image that we made may have its final name, though a rename failed.
void RbdNewVolume::discard() {
  settle_names(pool_.io(), location_, {location_.image, partial_.image, old_name()});
  claim_->check();
  int rc = remove_rbd_image(pool_.io(), location_, partial_.image,
                            {.patience = kRemovePatience, .stop = {}, .pulse = pulse_});
  if (rc < 0) throw rbd_error(rc, partial_, "remove");
}

std::vector<std::string> RbdNewVolume::left_behind() const {
  std::vector<std::string> left;
  if (!made_ || published_) return left;
  left.push_back("could not remove '" + partial_.ceph_name() +
                 "': the cluster does not answer; the next run to this target removes it");
  return left;
}

}  // namespace vmferry
