// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <array>
#include <string>

#include "lib/store/rbd/rbd.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "vmferry/digest.h"

namespace vmferry {
namespace {

/// An open snapshot, and where its digest is kept.
class DigestNote {
 public:
  DigestNote(const RbdLocation& snapshot, const CephOptions& options)
      : location_(snapshot), pool_(snapshot, options, CephSharing::kShared) {
    check(image_.open(pool_.io(), snapshot.image, snapshot.snapshot, true), "open");
    uint64_t id = 0;
    uint64_t size = 0;
    check(rbd_snap_get_id(image_.get(), snapshot.snapshot.c_str(), &id), "ask for its id");
    check(rbd_get_size(image_.get(), &size), "ask for its size");
    key_ = fmt::format("vmferry.digest.{}", id);
    // Metadata goes along when a volume is copied; another volume has another identity.
    about_ = fmt::format(
        "{} snapshot {} of {} bytes: ", pool_.identity_of(image_.get(), snapshot).text, id, size);
  }

  std::string read() const {
    std::array<char, 1024> value = {};
    size_t length = value.size();
    if (rbd_metadata_get(image_.get(), key_.c_str(), value.data(), &length) < 0) {
      return {};
    }
    const std::string text = value.data();
    const std::string digest = text.substr(std::min(text.size(), about_.size()));
    return text.starts_with(about_) && is_digest(digest) ? digest : "";
  }

  /// Who may not write there does without.
  void write(const std::string& digest) const {
    RbdImage volume;
    if (volume.open(pool_.io(), location_.image, "", false) >= 0) {
      rbd_metadata_set(volume.get(), key_.c_str(), (about_ + digest).c_str());
    }
  }

 private:
  void check(int rc, const char* action) const {
    if (rc < 0) {
      throw rbd_error(rc, location_, action);
    }
  }

  const RbdLocation& location_;
  const RbdPool pool_;
  RbdImage image_;
  std::string key_;
  std::string about_;
};

}  // namespace

std::string rbd_kept_digest(const RbdLocation& snapshot, const CephOptions& options) {
  return DigestNote(snapshot, options).read();
}

void rbd_keep_digest(const RbdLocation& snapshot, const CephOptions& options,
                     const std::string& digest) {
  DigestNote(snapshot, options).write(digest);
}

}  // namespace vmferry
