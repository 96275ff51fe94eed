// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/location.h"
#include "vmferry/sink.h"
#include "vmferry/source.h"

namespace VMFERRY_API vmferry {

/// How to reach a Ceph cluster. Empty: what librados finds by itself (CEPH_CONF,
/// /etc/ceph/CLUSTER.conf, CEPH_ARGS). What a location says itself ("rbd:...:id=x:conf=y") wins.
struct CephOptions {
  std::string conf;
  std::string id;  ///< without "client."; default admin
  std::string keyring;
  std::string cluster;  ///< default ceph
  /// How long monitors may take to answer (seconds); operations on data may take four times as
  /// long.
  unsigned timeout = 30;
};

enum class ImageFormat { kRaw, kQcow2 };

/// Which other files an image may make us open (backing files, external data files). An image that
/// was only *probed* may open none: its guest could have written the header (CVE-2008-2004 and its
/// children). One whose format the user named may open regular files and block devices in its own
/// directory or below as backing files; `allowed_prefixes` add places, and are always needed for an
/// external data file. Every name is resolved (links followed) before it is judged.
struct OpenPolicy {
  std::vector<std::string> allowed_prefixes;
  /// Nothing but those places, not even the image's own directory, and no format of a backing file
  /// is guessed: for an image whose chain somebody who knows has listed (libvirt).
  bool only_allowed = false;
};

/// Which internal snapshot of an image to read instead of its disk as it is now. Names and ids live
/// apart: one snapshot's name may be another one's id. Both given: both must fit.
struct SnapshotChoice {
  std::optional<std::string> name;
  std::optional<std::string> id;

  bool is_given() const { return name || id; }
};

struct SourceOptions {
  std::optional<ImageFormat> format;  ///< nothing: probe
  SnapshotChoice snapshot = {};       ///< of the image itself, not of those below it
  /// A file with the passphrase for every encrypted image of the chain: all its bytes count. Empty:
  /// none.
  std::string key_file = {};
  bool force_corrupt = false;  ///< read images that are marked as corrupt
  OpenPolicy policy = {};
  CephOptions ceph = {};
};

/// Which bytes a location really is, under whatever name: for "is that the same thing?".
struct Identity {
  enum class Store { kFile, kDevice, kRbd };
  Store store = Store::kFile;
  std::string id;  ///< device and inode; device number; or cluster, pool and image id
  bool operator==(const Identity&) const = default;
};

/// An image, open for reading, with what was learned while opening it.
struct OpenImage {
  std::unique_ptr<Source> guest;  ///< what a guest sees
  ImageFormat format = ImageFormat::kRaw;
  std::vector<Identity> opened;       ///< every file, device or volume that reads go to
  std::vector<std::string> warnings;  ///< e.g. another process is writing to it
  std::string written;  ///< the name of one of them that another process writes to; empty: none
};

/// Throws Error (kConflict) if another process writes to one of the files of `image`: a copy of it
/// would be of no moment that ever was.
void refuse_being_written(const OpenImage& image);

/// Opens `location` for reading: store, then format, then the backing chain under the policy.
/// Throws Error; nothing is changed.
OpenImage open_image(const Location& location, const SourceOptions& options);

/// How a new RBD volume is laid out. Nothing: what the cluster's configuration says.
struct RbdLayout {
  std::optional<uint64_t> object_size;  ///< bytes; a power of two, 4 KiB to 32 MiB
  std::optional<uint64_t> stripe_unit;  ///< bytes
  std::optional<uint64_t> stripe_count;
  std::string data_pool;
  std::vector<std::string> features;  ///< "layering", "exclusive-lock" ...; empty: the default set

  bool operator==(const RbdLayout&) const = default;
};

/// May a new file share the blocks of the file it is copied from (ioctl_ficlonerange(2); XFS,
/// btrfs)? kAlways: fail where it cannot.
enum class Reflink { kAuto, kAlways, kNever };

struct TargetOptions {
  uint64_t size = 0;   ///< bytes, exactly
  bool force = false;  ///< replace what exists; needed for every block device
  /// Nobody uses what is overwritten or replaced, where that cannot be asked.
  bool assume_unused = false;
  Reflink reflink = Reflink::kAuto;
  RbdLayout layout;
  CephOptions ceph;
  /// Called once everything was checked, just before the first change to the store. May be empty.
  std::function<void()> before_making;
  /// Called with what was made, before it has its final name. May be empty.
  std::function<void(const Identity&)> made;
  /// Called with one line about what could not be removed, also from the sink's destructor. Must
  /// not throw. May be empty.
  std::function<void(const std::string&)> notice;
  /// When triggered, a cluster that does not answer is waited for only a few seconds more.
  std::stop_token stop;
  std::vector<Identity> sources;  ///< refuse these: the target must not be what is being read
};

/// Opens a target: a new sparse file, a new RBD volume (both under a temporary name until publish),
/// or an existing block device. Everything that can be refused is refused here, before the first
/// byte.
std::unique_ptr<Sink> open_target(const Location& location, const TargetOptions& options);

}  // namespace VMFERRY_API vmferry
