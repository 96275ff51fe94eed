// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/checksum.h"
#include "vmferry/format.h"
#include "vmferry/location.h"
#include "vmferry/network.h"
#include "vmferry/source.h"
#include "vmferry/stream.h"

namespace VMFERRY_API vmferry {

class Observer;

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

struct SourceOptions {
  std::optional<ImageFormat> format;  ///< nothing: probe
  SnapshotChoice snapshot = {};       ///< of the image itself, not of those below it
  std::optional<unsigned> disk = {};  ///< which one of an OVA, from 1 on; nothing: the only one
  /// A file with the passphrase for every encrypted image of the chain: all its bytes count. Empty:
  /// none.
  std::string key_file = {};
  bool force_corrupt = false;  ///< read images that are marked as corrupt
  OpenPolicy policy = {};
  NetworkOptions network = {};
  /// What can only be read once, in order, is welcome as well: OpenImage::stream.
  bool streams = false;
  /// What the stored file as a whole has to be: all of it is read first, and another one refused.
  /// What is read from a web server goes to a file in `tmp_dir`, and is read there from then on.
  std::optional<FileChecksum> checksum = {};
  std::string tmp_dir = {};      ///< empty: TMPDIR, or /var/tmp
  Observer* observer = nullptr;  ///< told of that first reading, if not null
};

/// An image, open for reading, with what was learned while opening it.
struct OpenImage {
  std::unique_ptr<Source> guest;  ///< what a guest sees
  /// In its place, if SourceOptions::streams: a raw disk that comes through a pipe, or that is
  /// unpacked while it is read (gzip, xz, zstd, bzip2). Null: guest is there.
  std::unique_ptr<ByteStream> stream;
  /// What a guest would see of the images below it: the nearest first. Of a chain that is read by
  /// QEMU they are not told.
  std::vector<std::shared_ptr<const Source>> below;
  ImageFormat format;
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

}  // namespace VMFERRY_API vmferry
