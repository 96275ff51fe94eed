// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/byte_ranges.h"
#include "vmferry/ceph.h"
#include "vmferry/copy.h"
#include "vmferry/copy_breaks.h"
#include "vmferry/format.h"
#include "vmferry/location.h"
#include "vmferry/observer.h"

// The files of a host and the volumes of a cluster, as a migration handles them.

namespace VMFERRY_API vmferry {

/// A volume of the cluster that a migration is about.
struct VolumeName {
  std::string pool;
  std::string image;

  std::string display() const { return RbdLocation{.pool = pool, .image = image}.display(); }
  /// As Ceph's commands take it: see RbdLocation.
  std::string ceph_name() const { return RbdLocation{.pool = pool, .image = image}.ceph_name(); }
  bool operator==(const VolumeName&) const = default;
};

/// A volume that needs the data of another one, as a clone of one of its snapshots.
struct VolumeClone {
  std::string name;    ///< as Ceph's commands take it
  std::string remedy;  ///< for a person: how it comes to need that no more
};

/// Bytes that a disk occupies: what a guest sees, and what is stored.
struct Usage {
  uint64_t virtual_bytes = 0;
  uint64_t allocated_bytes = 0;
};

struct PoolFacts {
  bool exists = false;
  bool for_rbd = false;  ///< carries the application tag "rbd"
  bool full = false;     ///< or near it, as the cluster says
  bool nearly_full = false;
  uint64_t available = 0;  ///< bytes that clients may still write; the largest number: not told
  std::string health;      ///< empty: data can be read and written now; else what is wrong
  /// Bytes stored for each byte of data (replicas, erasure code); 0: not told.
  double overhead = 0;
  /// Of `available`, until the cluster calls itself nearly full: an estimate, as OSDs are not
  /// filled alike. Nothing: not told.
  std::optional<uint64_t> until_nearly_full = {};
};

/// An image on this host with the other files that it is made of, as libvirt names them; or a
/// volume that a disk shall leave.
struct HostImage {
  std::string path;
  ImageFormat format;
  std::vector<std::string> backing;  ///< the paths below it: they may be opened
  bool chain_known = true;           ///< no other file may be; false: those beside the image, too
  std::string identity;              ///< FileLook::identity when it was planned; empty: not looked
  std::vector<std::string> allowed = {};  ///< places that the user allows besides
  bool with_snapshots = false;  ///< those inside of it become snapshots of the volume (copy_in)
  bool with_layers = false;     ///< the images below it likewise
  /// What the snapshots of these layers, by their paths, shall be called; else as layers_as_history
  /// has it.
  std::map<std::string, std::string> layer_names = {};
  /// Not nothing: it is this volume, and `path` is empty. Its options say which cluster that is in,
  /// where the definition does ("mon_host", "conf").
  std::optional<RbdLocation> volume = {};

  /// The path, or "rbd:POOL/IMAGE".
  std::string display() const { return volume ? volume->display() : path; }
};

/// What a path of this host leads to.
struct FileLook {
  std::string identity;  ///< which file or device it is, under whatever name
  std::string real;      ///< the path without links
  bool link = false;     ///< the name itself is a symbolic link
  bool device = false;   ///< a block device
  bool shared = false;   ///< on a file system that other hosts mount, too (statfs: NFS, CephFS ...)
  uint64_t size = 0;     ///< bytes, of a file
  int64_t modified = 0;  ///< its mtime, nanoseconds since 1970
};

/// The file that a disk was on before a move, as it was at the end of that. A guest that has left
/// it changes none of this.
struct OldFile {
  std::string path;
  std::string format;    ///< as libvirt calls it
  std::string identity;  ///< FileLook::identity
  uint64_t size = 0;     ///< as FileLook has it, and the next
  int64_t modified = 0;
  uint64_t taken = 0;  ///< bytes that its file system has set aside for it

  bool operator==(const OldFile&) const = default;
  bool is(const FileLook& look) const {
    return identity == look.identity && size == look.size && modified == look.modified;
  }
};

/// What the headers of an image tell.
struct ImageParts {
  std::vector<std::string> files;  ///< the identity of each file or volume it is made of, itself
                                   ///< first; of a volume that is all
  std::string unknown;             ///< why there may be more of them; empty: there are not
  std::vector<std::string> snapshots;  ///< names of those inside the image itself, or of the volume
  std::vector<std::string> memories;   ///< of those the ones with memory of the machine
  std::vector<std::string> bitmaps;    ///< likewise
  std::vector<std::string> backing;    ///< paths of its backing images that were opened
  bool written = false;                ///< of a volume: a client has it open for writing
};

/// How a disk is copied.
struct CopyTerms {
  /// It is under an overlay, so that QEMU has it open and does not write to it.
  bool frozen = false;
  uint64_t bandwidth = 0;  ///< bytes a second; 0: no limit
  RateNow rate = {};       ///< if not empty: the same, as it is now
  /// What a copy that died has left is gone on with where it fits; otherwise it is removed, as it
  /// is without this.
  bool resume = false;
  /// A snapshot, "rbd:POOL/IMAGE@SNAPSHOT", of which a new volume is made a clone; empty: none.
  std::string base = {};
  /// Not null: the image is changed in breaks of the copy, and what was changed is copied again.
  CopyBreaks* breaks = nullptr;
  std::stop_token stop = {};
};

/// What a copy did.
struct CopyDone {
  uint64_t kept_bytes = 0;  ///< of its data, that a run which died had copied
  /// Of what was copied (DiskDigest::text); empty: it was changed meanwhile.
  std::string digest;
  std::vector<std::string> snapshots = {};  ///< of the volume, copied with it; oldest first
  uint64_t changed_bytes = 0;               ///< by update_in(): in which both could differ
};

/// Images and volumes, as a migration handles them. Every method throws Error; one thread.
class MigrationStorage {
 public:
  virtual ~MigrationStorage() = default;

  virtual PoolFacts pool(const std::string& pool) = 0;
  /// Reads and writes a small object in `pool` as the guest will: with its user, through its
  /// monitors. Takes seconds. Throws what is wrong.
  virtual void prove_access(const std::string& pool) = 0;
  /// Throws what keeps the guest from reading this snapshot below its new volume.
  virtual void prove_base(const std::string& base) = 0;
  /// Nothing: it does not exist.
  virtual std::optional<Usage> volume(const VolumeName& volume) = 0;
  /// Names of all volumes of the pool, in order; without what unfinished copies have.
  virtual std::vector<std::string> volumes(const std::string& pool) = 0;
  /// How many clients have it open for writing.
  virtual size_t writers(const VolumeName& volume) = 0;
  /// Called with the identity of what is made, before it has its name.
  using Made = std::function<void(const std::string& identity)>;
  virtual void create_volume(const VolumeName& volume, uint64_t size, const Made& made) = 0;
  /// Which volume it is, whatever its name. Empty: it does not exist.
  virtual std::string identity(const VolumeName& volume) = 0;
  /// Whoever made them. A volume that does not exist has none.
  virtual std::vector<VolumeClone> clones(const VolumeName& volume) = 0;
  /// Also what a killed copy left beside it. Waits for a dead client's watcher to go (about 30 s).
  /// None there is no error. Given an `identity`, another volume of that name stays: false then.
  virtual bool remove_volume(const VolumeName& volume,
                             const std::optional<std::string>& identity) = 0;
  /// Gives back zeros; the volume may be in use.
  virtual void sparsify_volume(const VolumeName& volume) = 0;
  /// The key of the Ceph user that guests will use; throws if none is found.
  virtual std::string user_key() = 0;

  /// Copies what a guest sees, and verifies the copy; the volume has its name only afterwards. What
  /// is done is written down now and then, for a process that comes after a death.
  virtual CopyDone copy_in(const HostImage& image, const VolumeName& volume, const CopyTerms& terms,
                           const Made& made) = 0;
  /// Has a copy_in() that died left anything that fits, so that there is less to copy?
  virtual bool can_resume_in(const HostImage& image, const VolumeName& volume) = 0;
  /// Do they hold the same bytes?
  virtual bool same(const HostImage& image, const VolumeName& volume, std::stop_token stop) = 0;
  /// As copy_in, into a new file that is laid out so. Only a raw one can be gone on with.
  virtual CopyDone copy_out(const VolumeName& volume, const std::string& path,
                            const ImageLayout& layout, const CopyTerms& terms,
                            const Made& made) = 0;
  virtual bool can_resume_out(const VolumeName& volume, const std::string& path) = 0;
  /// Brings a volume up to date that held, at its snapshot `mark`, what is below the topmost image,
  /// or what the volume that the disk leaves did at its own of that name: copies what is new since,
  /// and where the volume was written to, and compares it. HostImage::with_snapshots: those of the
  /// volume since then, too, and copies of those before follow what became of these. Throws
  /// kConflict: a client has the volume open, or there is no such snapshot.
  virtual CopyDone update_in(const HostImage& image, const VolumeName& volume,
                             const std::string& mark, const CopyTerms& terms) = 0;
  /// Copies onto a volume what was changed in `terms.breaks` since its image was copied there, and
  /// compares it.
  virtual CopyDone copy_changed_in(const HostImage& image, const VolumeName& volume,
                                   const CopyTerms& terms) = 0;
  /// What the topmost image has of its own. Throws kConflict: there is nothing below it.
  virtual ByteRanges own_ranges(const HostImage& image) = 0;
  /// What the volume holds is kept as its snapshot `mark`. Throws kConflict: it has one.
  virtual void mark(const VolumeName& volume, const std::string& mark) = 0;
  /// Removes it; none there is no error.
  virtual void unmark(const VolumeName& volume, const std::string& mark) = 0;
  /// The snapshots of the volume that are the user's, oldest first.
  virtual std::vector<std::string> marks(const VolumeName& volume) = 0;
  /// Was nothing written to the volume since its snapshot `mark`?
  virtual bool is_as_marked(const VolumeName& volume, const std::string& mark) = 0;
  /// What a volume that a disk leaves (HostImage::volume) holds is kept as its snapshot `mark`,
  /// also while a guest writes to it: then as after a power cut. Throws kConflict: it has one, or
  /// another volume has its name.
  virtual void mark_old(const HostImage& image, const std::string& mark) = 0;
  /// As unmark() and marks(), of such a volume. Throw kConflict: another one has its name.
  virtual void unmark_old(const HostImage& image, const std::string& mark) = 0;
  virtual std::vector<std::string> old_marks(const HostImage& image) = 0;
  /// Bytes of data in an image or volume: what a copy will write at most.
  virtual Usage image_usage(const HostImage& image) = 0;

  /// Reads headers and lists only. Throws what cannot be opened at all.
  virtual ImageParts image_parts(const HostImage& image) = 0;
  /// Nothing: it does not exist.
  virtual std::optional<FileLook> look(const std::string& path) = 0;
  /// Removes the file or volume that was planned with, nothing else. Throws kConflict if the name
  /// leads to another one now, a QEMU process or another client has it open, or the volume has
  /// snapshots. None there is no error.
  virtual void remove_image(const HostImage& image) = 0;
  /// The same for one that nobody may have open, for reading either: not only QEMU. Throws
  /// kConflict also if its size or time of change is another.
  virtual void remove_old_file(const OldFile& file) = 0;

  virtual bool file_exists(const std::string& path) = 0;
  virtual uint64_t file_allocation(const std::string& path) = 0;
  /// Free bytes of the file system that holds `path` (a file or directory).
  virtual uint64_t free_space(const std::string& path) = 0;
  /// Which file system that is: what two paths have in common if they share its room.
  virtual std::string file_system(const std::string& path) = 0;
  /// As remove_volume.
  virtual bool remove_file(const std::string& path, const std::optional<std::string>& identity) = 0;
  /// An empty qcow2 of `size` bytes over an image of the format `backing_format`, which QEMU calls
  /// `backing`.
  virtual void create_overlay(const std::string& path, uint64_t size, const std::string& backing,
                              const std::string& backing_format) = 0;
  /// A disk of `size` bytes that holds nothing.
  virtual void create_empty_file(const std::string& path, uint64_t size, const ImageLayout& layout,
                                 const Made& made) = 0;
};

struct MigrationStorageOptions {
  unsigned jobs = 8;  ///< threads that read; 1..64
  CephOptions ceph;
  std::optional<CephOptions> old_ceph = {};            ///< of HostImage::volume; nothing: as `ceph`
  RbdLayout layout;                                    ///< of every new volume
  std::chrono::milliseconds checkpoint_every{10'000};  ///< as TransferOptions has it
  std::vector<CephMonitor> monitors;  ///< that guests will ask; none: those of `ceph`
  std::stop_token stop = {};
  /// Called just before something new is made. May be empty.
  std::function<void()> before_making;
  /// As TargetOptions::notice. May be empty.
  std::function<void(const std::string&)> notice;
  Observer* observer = nullptr;  ///< of copies; must outlive the storage
};
/// The files of this host and the volumes of one cluster. It opens no file but an image and its
/// `backing`, and refuses one that another process writes to.
std::unique_ptr<MigrationStorage> host_and_cluster(MigrationStorageOptions options);

}  // namespace VMFERRY_API vmferry
