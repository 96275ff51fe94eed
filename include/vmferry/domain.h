// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "vmferry/api.h"

// libvirt domain definitions: what their disks are, and the same definition with some of the disks
// elsewhere. All of it is text in, text out: no file is opened and no host is asked. All functions
// may be called from any thread; the structs are plain values.

namespace vmferry {
struct DomainSpans;  // not shown
}

namespace VMFERRY_API vmferry {

/// The longest definition that is taken, in bytes: libvirt's own protocol carries no longer string
/// (REMOTE_STRING_MAX in libvirt's remote_protocol.x).
inline constexpr size_t kMaxDefinitionBytes = 4 << 20;

struct CephMonitor {
  std::string host;  ///< a name or an address; an IPv6 address without brackets, as libvirt has it
  uint16_t port = 6789;

  bool operator==(const CephMonitor&) const = default;
};

/// One image of a disk, as a definition declares it. What was not declared is empty.
struct DiskImage {
  std::string type = {};  ///< "file", "block", "volume", "network", "dir", "nvme", "vhostuser" ...
  std::string format = {};    ///< "raw" ...: <driver type> of the disk, <format> of a backing image
  std::string path = {};      ///< of a file, a block device, a directory or a socket
  std::string pool = {};      ///< of a volume: libvirt's storage pool
  std::string volume = {};    ///< of a volume: its name in the storage pool
  std::string protocol = {};  ///< of a network disk: "rbd", "nbd", "iscsi" ...
  std::string name = {};      ///< of a network disk; "POOL/IMAGE" for rbd
  std::string snapshot = {};  ///< of an rbd disk
  std::vector<CephMonitor> monitors = {};  ///< of an rbd disk; port 0: none is declared
  std::string ceph_conf = {};              ///< of an rbd disk: the file that QEMU reads

  bool is_rbd() const { return type == "network" && protocol == "rbd"; }
  /// The path, "storage pool POOL, volume VOLUME", "rbd:POOL/IMAGE", "nbd:NAME"; "nothing".
  std::string display() const;
};

/// One <disk> of a definition.
struct DomainDisk {
  std::string target;  ///< "vda"; no two disks of a domain have the same
  std::string bus;     ///< "virtio", "scsi", "sata" ...; may be empty
  std::string device;  ///< "disk", "cdrom", "floppy", "lun"; "disk" if not declared
  DiskImage image;
  /// The declared backing chain, nearest first. Empty says nothing: definitions of domains that do
  /// not run mostly leave it out.
  std::vector<DiskImage> backing;
  bool chain_is_closed = false;  ///< the chain ends with <backingStore/>: there are no more images
  bool readonly = false;
  bool shareable = false;
  bool transient = false;
  bool encrypted = false;     ///< it, or an image of its declared chain
  bool mirrored = false;      ///< a block job copies it just now
  bool copy_on_read = false;  ///< QEMU writes what it reads from the image below into the image
  size_t line = 0;            ///< of its first tag, counted from 1
  std::string stays;          ///< why it cannot move to RBD ("it is a cdrom"); empty: it can
  std::string stays_on_rbd;   ///< likewise from RBD to a file, as far as a definition tells

  bool can_move() const { return stays.empty(); }
};

/// A file of the host that a definition names, other than a disk's image.
struct HostFile {
  std::string what;  ///< "kernel", "initrd", "dtb", "loader", "nvram template", "serial" ...
  std::string path;
};

/// What a definition says, as parse_domain() reads it. To change the definition, parse the changed
/// text.
struct Domain {
  std::string object;  ///< what messages call the definition
  std::string text;    ///< the definition itself
  std::string name;
  std::string uuid;
  std::string type;  ///< "kvm", "qemu" ...
  std::string emulator;
  bool live = false;  ///< taken from a running domain: it has an id
  std::vector<DomainDisk> disks;
  bool has_nvram = false;  ///< it has UEFI variables, whether or not a file is named yet
  std::string nvram_path;
  bool has_tpm = false;               ///< an emulated TPM has state on the host
  std::vector<std::string> hostdevs;  ///< the type of each: "pci", "usb", "scsi", "mdev" ...
  std::vector<std::string> networks;  ///< libvirt networks that its interfaces use
  std::vector<std::string> bridges;   ///< bridges that its interfaces use
  std::vector<HostFile> host_files;   ///< all but the disks' images and nvram_path
  /// Devices with which libvirt lets no running machine go to another host (libvirt's
  /// qemuMigrationSrcIsAllowed): "shared memory NAME", "virtiofs file system TARGET".
  std::vector<std::string> tied_devices;

  size_t hostdev_count() const { return hostdevs.size(); }
  /// The files and devices in its cdrom and floppy drives.
  std::vector<std::string> media_paths() const;
  /// Null if there is none.
  const DomainDisk* find_disk(std::string_view target) const;

 private:
  friend struct DomainSpans;
  std::shared_ptr<const DomainSpans> spans_;  ///< where its disks lie in the text; copies share it
};

/// Reads a definition, of a running domain or not. `object` is what messages call it. Throws Error
/// kCorrupt (not well-formed UTF-8 XML, with line and column; no domain; a disk without target or
/// with that of another) or kUnsupported (longer than kMaxDefinitionBytes, nested or crowded beyond
/// reason, a document type, another encoding, a <domstatus> or <domainsnapshot>).
Domain parse_domain(std::string text, std::string object);

/// Understands `HOST`, `HOST:PORT`, `[IPV6]` and `[IPV6]:PORT`; the port is 6789 if none is given.
/// Throws Error kUsage.
CephMonitor parse_monitor(std::string_view text);

/// The name that `name_template` makes for a disk of `domain`: {domain}, {uuid} and {dev} are
/// replaced. Throws Error kUsage: it holds something else in braces, or what the definition lacks.
std::string fill_name_template(const std::string& name_template, const Domain& domain,
                               const std::string& dev);

/// A volume that a disk shall be on. libvirt and QEMU open no RADOS namespace, so there is none.
struct RbdTarget {
  std::string pool = {};
  std::string image = {};
  std::vector<CephMonitor> monitors =
      {};               ///< none: QEMU finds them in `conf` or its host's ceph.conf
  std::string id = {};  ///< Ceph user, without "client."; empty: no authentication
  std::string secret_uuid =
      {};  ///< libvirt's secret with the user's key: with an id exactly one of
  std::string secret_usage = {};  ///< these two, without an id neither
  std::string conf = {};  ///< a ceph.conf on the host where QEMU runs; empty: the host's own
};

/// A file, or a block device if the path is below /dev, that a disk shall be on.
struct FileTarget {
  std::string path;  ///< absolute
  std::string format = "raw";
};

using DiskTarget = std::variant<RbdTarget, FileTarget>;

/// Throws Error kUsage for a name, path, user, secret or monitor that libvirt or Ceph would take
/// for something else, such as an image with an '@' in its name.
void check_target(const DiskTarget& target);

/// "rbd:POOL/IMAGE", or the path.
std::string display_name(const DiskTarget& target);

/// Attributes of <driver>. Not set: what is there is kept where it makes sense on the target (on
/// RBD `io` does not), and a disk that says nothing about `discard` gets "unmap". Empty: removed.
struct DriverOptions {
  std::optional<std::string> cache = {};
  std::optional<std::string> io = {};
  std::optional<std::string> discard = {};
  std::optional<std::string> detect_zeroes = {};
};

/// For a definition under which QEMU itself fills the target (a live migration's destination):
/// discard and detect_zeroes become "unmap" where `driver` does not set them, so that zeros take no
/// space. Not for a persistent definition: looking for zeros costs each write of the guest time.
DriverOptions for_live_copy(DriverOptions driver);

/// What shall become of one disk.
struct DiskMove {
  std::string disk;  ///< its target: "vda"
  DiskTarget to;
  DriverOptions driver = {};
  bool drop_encryption = false;  ///< the copy is plain: an encrypted disk may move
};

/// The definition with the named disks elsewhere. All text outside these disks stays as it was, to
/// the byte, and so do those of their children that stay true. A disk that is on its target already
/// stays as it is, so doing it again changes nothing.
///
/// A disk moves to RBD if DomainDisk::stays is empty, or from another volume if stays_on_rbd is,
/// and to a file if it is on RBD. Throws Error kUsage (a target that makes no sense, a Domain whose
/// text or disks were changed), kNotFound (no such disk), kUnsupported (a disk that cannot move, is
/// encrypted, or a domain that QEMU does not run) or kConflict (two disks on one target).
std::string rewrite_disks(const Domain& domain, std::span<const DiskMove> moves);

/// The same where libvirt itself has put disks on their targets (the pivot of a block job changes
/// the image and its format only): these, too, become what they were if rewritten.
std::string rewrite_moved_disks(const Domain& domain, std::span<const DiskMove> moves);

/// The definition with the named disks as `original` has them, to the byte; a disk that one of the
/// two has not stays as it is.
std::string restore_disks(const Domain& domain, const Domain& original,
                          std::span<const std::string> targets);

/// Only the new <disk> element of one move, as virDomainBlockCopy takes it. Throws as
/// rewrite_disks.
std::string rewrite_disk(const Domain& domain, const DiskMove& move);

}  // namespace VMFERRY_API vmferry
