// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <filesystem>

#include "lib/core/format_bytes.h"
#include "lib/format/qcow2/qcow2.h"
#include "lib/guestfs/appliance.h"
#include "lib/guestfs/guest_trim.h"
#include "lib/store/file/file_io.h"
#include "lib/store/file/file_source.h"
#include "lib/store/store.h"
#include "vmferry/error.h"
#include "vmferry/sparsify.h"
#include "vmferry/version.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kCluster = 64 << 10;
// The header, the first refcounts, what QEMU allocates before it needs it, and the largest journal
// that NTFS has, which ntfs-3g empties.
constexpr uint64_t kOverlayBase = 68 << 20;

std::string tmp_dir_of(const TrimOptions& options) {
  if (!options.tmp_dir.empty()) {
    return options.tmp_dir;
  }
  const char* from_environment = std::getenv("TMPDIR");
  return from_environment != nullptr && *from_environment != 0 ? from_environment : "/var/tmp";
}

/// The most that an overlay over a disk of `size` bytes takes when nothing is written to it: for
/// every cluster of the disk an entry of 8 bytes, and for every cluster of such entries a refcount.
uint64_t overlay_bound(uint64_t size) {
  const uint64_t entries = (size + kCluster - 1) / kCluster * 8;
  return kOverlayBase + entries + entries / 1024;
}

void check_room(const std::string& directory, uint64_t size, const TrimOptions& options) {
  struct statvfs status;
  if (::statvfs(directory.c_str(), &status) != 0) {
    throw errno_error(errno, directory, "ask for its free space");
  }
  const uint64_t room = static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
  const uint64_t need = overlay_bound(size);
  if (room >= need || options.room == RoomCheck::kIgnore) {
    return;
  }
  const Error error(
      {.kind = ErrorKind::kConflict,
       .object = directory,
       .action = "look for room for the overlay",
       .cause = "it may need " + about_bytes(need) + ", and there are " + about_bytes(room),
       .hint = "name a directory with more room with --tmp"});
  if (options.room == RoomCheck::kFail) {
    throw error;
  }
  if (options.notice) {
    options.notice(error.what());
  }
}

/// A directory of our own that goes when this does.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(const std::string& parent) : path_(parent + "/vmferry-trim.XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) {
      throw errno_error(errno, parent, "make a temporary directory");
    }
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { remove(); }

  const std::string& path() const { return path_; }
  void remove() noexcept {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

 private:
  std::string path_;
};

void say_if_slow(const Appliance& appliance, const TrimOptions& options) {
  if (!appliance.is_emulated() || !options.notice) {
    return;
  }
  options.notice(appliance.gave_up_kvm()
                     ? "KVM runs no guests here, so libguestfs emulates a machine, which is slow "
                       "(LIBGUESTFS_BACKEND_SETTINGS=force_tcg saves the attempt)"
                     : "libguestfs emulates a machine, without KVM, which is slow");
}

ApplianceDisk disk_of(const Location& location, ImageFormat format, const NetworkOptions& network) {
  const Store& store = location.store();
  if (format.is_foreign()) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "trim",
                 .cause = std::string(format.name()) + " images are not trimmed",
                 .hint = "copy it first: vmferry convert; then: vmferry sparsify --trim"});
  }
  if (store.qemu_name == nullptr) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "trim",
                 .cause = "libguestfs cannot be given such a place",
                 .hint = "copy it first: vmferry convert"});
  }
  return {store.qemu_name(location, network), format.name()};
}

std::unique_ptr<Source> read_overlay(const UniqueFd& file, const std::string& name,
                                     const std::shared_ptr<const Source>& source) {
  UniqueFd copy(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy.valid()) {
    throw errno_error(errno, name, "open the overlay");
  }
  auto store = std::make_unique<FileSource>(std::move(copy), name);
  Qcow2Header header = read_qcow2_header(*store);
  header.virtual_size = source->size();  // QEMU counts in whole sectors
  return open_qcow2({.file = std::move(store), .backing = source}, header);
}

}  // namespace

std::string libguestfs_version() {
  const std::unique_ptr<guestfs_h, decltype(&guestfs_close)> handle(
      guestfs_create_flags(GUESTFS_CREATE_NO_ENVIRONMENT), guestfs_close);
  if (!handle) {
    return "unknown";
  }
  const std::unique_ptr<struct guestfs_version, decltype(&guestfs_free_version)> version(
      guestfs_version(handle.get()), guestfs_free_version);
  if (!version) {
    return "unknown";
  }
  return fmt::format("{}.{}.{}", version->major, version->minor, version->release);
}

TrimmedImage trim_copy(const Location& location, std::shared_ptr<const Source> source,
                       ImageFormat format, const TrimOptions& options) {
  const ApplianceDisk image = disk_of(location, format, options.network);
  if (location.store().refuse_writers != nullptr) {
    location.store().refuse_writers(location);
  }
  const std::string parent = tmp_dir_of(options);
  check_room(parent, source->size(), options);
  TemporaryDirectory directory(parent);
  const std::string path = directory.path() + "/overlay.qcow2";
  create_overlay(path, image, kCluster);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) {
    throw errno_error(errno, path, "open the overlay");
  }

  const std::string name = location.display();
  Appliance appliance(name, {path, "qcow2"}, options.stop);
  directory.remove();  // QEMU and we have it open: from here on it goes with us, even by kill -9
  say_if_slow(appliance, options);
  TrimmedImage trimmed;
  trimmed.parts = trim_guest(
      appliance, gaps_between_partitions(*source), options,
      [&]() -> std::optional<uint64_t> { return data_bytes(*read_overlay(file, name, source)); });
  appliance.shut_down();
  trimmed.guest = read_overlay(file, name, source);
  trimmed.overlay_bytes = bytes_taken(stat_fd(file.get(), path));
  return trimmed;
}

std::vector<TrimmedPart> trim_in_place(const Location& location, const Source& guest,
                                       ImageFormat format, const TrimOptions& options) {
  if (location.store().refuse_users == nullptr) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "trim in place",
                 .cause = "a volume is trimmed on its way to a copy only",
                 .hint =
                     "vmferry sparsify --trim with a target, or without --trim: that gives back "
                     "the zeros"});
  }
  const ApplianceDisk image = disk_of(location, format, options.network);
  location.store().refuse_users(location,
                                options.assume_unused);  // QEMU then takes the lock itself
  const std::string name = location.display();
  const std::vector<Extent> gaps = gaps_between_partitions(guest);
  Appliance appliance(name, image, options.stop);
  say_if_slow(appliance, options);
  std::vector<TrimmedPart> parts =
      trim_guest(appliance, gaps, options, [&] { return allocated_bytes(location, {}); });
  appliance.shut_down();
  return parts;
}

}  // namespace vmferry
