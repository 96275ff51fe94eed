// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>

#include "lib/format/format.h"
#include "lib/image/backing.h"
#include "vmferry/error.h"

// Why an image is not opened. All throw Error, or answer one.

namespace vmferry {

/// Throws where the format is only recognised. `if_raw` says how a user tells that the file is a
/// raw disk all the same.
void refuse_unread(ImageFormat format, const Source& file, const std::string& if_raw);

/// Throws where one of several disks is wanted of what is one disk.
void refuse_disk(const SourceOptions& options, ImageFormat format, const Source& file);

/// Throws where what lies in an archive is an archive itself, which could go on for ever.
void refuse_archive(ImageFormat format, const Source& file);

/// Throws where a snapshot is wanted of an image that QEMU reads.
void refuse_snapshot(const SnapshotChoice& snapshot, const Source& file);

/// The image does not say which format the one below it has.
Error undeclared_format(const Referrer& referrer, const std::string& path);

/// A format that vmferry reads, however not below this image.
Error unread_below(const Referrer& referrer, ImageFormat format);

/// The format that `referrer` says the image below it has. Throws where it is not read.
ImageFormat parse_format(const std::string& name, const Referrer& referrer);

}  // namespace vmferry
