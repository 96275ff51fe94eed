// SPDX-License-Identifier: LGPL-2.1-or-later
#include <utility>

#include "lib/store/rbd/rbd.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/rehearse.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"

namespace vmferry {
namespace {

RbdLocation rbd_place(const VolumeName& volume) {
  return {.pool = volume.pool, .image = volume.image};
}

class RehearsalVolumes : public RehearsalStorage {
 public:
  RehearsalVolumes(const CephOptions& ceph, std::stop_token stop,
                   std::function<void()> before_making,
                   std::function<void(const std::string&)> notice)
      : before_making_(std::move(before_making)), notice_(std::move(notice)) {
    network_.ceph = ceph;
    network_.stop = stop;
    // Member by member: GCC 12 takes what an initializer list leaves out for uninitialized.
    MigrationStorageOptions options;
    options.ceph = ceph;
    options.stop = std::move(stop);
    options.notice = notice_;
    moves_ = host_and_cluster(std::move(options));
  }

  std::string identity(const VolumeName& volume) override { return moves_->identity(volume); }

  void clone(const VolumeName& base, const std::string& snapshot, const VolumeName& volume,
             const Made& made) override {
    RbdLocation from = rbd_place(base);
    from.snapshot = snapshot;
    const uint64_t size = open_image(from, raw()).guest->size();
    TargetOptions options = new_volume(size, made);
    options.base = from;
    make(volume, options)->publish();
  }

  void copy_file(const std::string& path, const VolumeName& volume, const Made& made) override {
    const OpenImage file = open_image(PathLocation{path}, raw());
    constexpr uint64_t kMost = 64 << 20;
    if (file.guest->size() > kMost) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = path,
                   .action = "copy",
                   .cause = "it has more than 64 MiB, and so cannot be UEFI variables"});
    }
    const auto target = make(volume, new_volume(file.guest->size(), made));
    TransferOptions options;
    options.source_in_use = true;
    options.stop = network_.stop;
    transfer(*file.guest, *target, options);
  }

  std::optional<uint64_t> written(const VolumeName& volume) override {
    return volume_bytes(rbd_place(volume), network_.ceph);
  }

  void remove(const VolumeName& volume, const std::string& identity) override {
    moves_->remove_volume(volume, identity);
  }

 private:
  SourceOptions raw() const {
    SourceOptions options;
    options.format = ImageFormat();
    options.network = network_;
    return options;
  }

  TargetOptions new_volume(uint64_t size, const Made& made) const {
    TargetOptions options;
    options.size = size;
    options.network = network_;
    options.stop = network_.stop;
    options.before_making = before_making_;
    options.made = [made](const Identity& identity) { made(identity.text); };
    options.notice = notice_;
    return options;
  }

  /// Whatever has the name stays.
  static std::unique_ptr<Target> make(const VolumeName& volume, const TargetOptions& options) {
    try {
      return open_target(rbd_place(volume), options);
    } catch (const Error& error) {
      ErrorParts parts = error.parts();
      if (parts.kind == ErrorKind::kConflict && parts.cause == "the volume exists") {
        parts.hint = "no rehearsal that is known made it; if nobody needs it, remove it (rbd rm " +
                     volume.ceph_name() + ")";
      }
      throw Error(std::move(parts));
    }
  }

  NetworkOptions network_;
  const std::function<void()> before_making_;
  const std::function<void(const std::string&)> notice_;
  std::unique_ptr<MigrationStorage> moves_;
};

}  // namespace

std::unique_ptr<RehearsalStorage> rehearsal_volumes(
    const CephOptions& ceph, std::stop_token stop, std::function<void()> before_making,
    std::function<void(const std::string&)> notice) {
  return std::make_unique<RehearsalVolumes>(ceph, std::move(stop), std::move(before_making),
                                            std::move(notice));
}

}  // namespace vmferry
