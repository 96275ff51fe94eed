// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/image/open_errors.h"

#include "lib/core/printable.h"

namespace vmferry {

void refuse_unread(ImageFormat format, const Source& file, const std::string& if_raw) {
  const Format& row = format.row();
  if (row.is_read()) {
    return;
  }
  const std::string name = row.name;
  const std::string first = name.empty() ? "unpack it first"
                                         : "convert it first: qemu-img convert -p -f " + name +
                                               " -O qcow2 FILE FILE.qcow2";
  throw Error(
      {.kind = ErrorKind::kUnsupported,
       .object = file.name(),
       .action = "open",
       .cause = std::string("it is a ") + row.title + " file, which " +
                (row.unpack != nullptr ? "can only be read in order" : "vmferry does not read"),
       .hint = first + "; if it is a raw disk that only looks like one, " + if_raw});
}

void refuse_disk(const SourceOptions& options, ImageFormat format, const Source& file) {
  const Format& row = format.row();
  if (options.disk && !row.has_disks) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = file.name(),
                 .action = "choose a disk",
                 .cause = std::string("it is a ") + row.title + " image, which is one disk",
                 .hint = "leave out --disk"});
  }
}

void refuse_archive(ImageFormat format, const Source& file) {
  if (format.row().has_disks) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = file.name(),
                 .action = "open",
                 .cause = "it is an archive inside an archive",
                 .hint = "unpack the outer one first: tar -xf FILE"});
  }
}

void refuse_snapshot(const SnapshotChoice& snapshot, const Source& file) {
  if (snapshot.is_given()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = file.name(),
                 .action = "look for the snapshot",
                 .cause = "only qcow2 images have snapshots of their own"});
  }
}

Error undeclared_format(const Referrer& referrer, const std::string& path) {
  return Error({.kind = ErrorKind::kConflict,
                .object = referrer.name,
                .action = "open its backing file '" + path + "'",
                .cause = "the image does not say which format that has",
                .hint = "say it: qemu-img rebase -u -F FORMAT -b '" + path + "' '" + referrer.path +
                        "', while it is not in use"});
}

Error unread_below(const Referrer& referrer, ImageFormat format) {
  return Error({.kind = ErrorKind::kUnsupported,
                .object = referrer.name,
                .action = "open its backing file",
                .cause = std::string("its format is '") + format.name() + "'",
                .hint = "make one image of both first: qemu-img convert"});
}

ImageFormat parse_format(const std::string& name, const Referrer& referrer) {
  if (const std::optional<ImageFormat> format = find_format(name)) {
    return *format;
  }
  throw Error({.kind = ErrorKind::kUnsupported,
               .object = referrer.name,
               .action = "open its backing file",
               .cause = "its format is '" + printable(name) + "'",
               .hint = "convert it with qemu-img first"});
}

}  // namespace vmferry
