// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/create.h"

#include "lib/format/format.h"
#include "lib/store/store.h"
#include "vmferry/error.h"

namespace vmferry {
namespace {

const FormatMaker& maker_of(const ImageLayout& layout, const Location& location) {
  const Format& row = layout.format.row();
  if (row.maker == nullptr) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "open as a target",
                 .cause = std::string("images of the format ") + row.title + " are only read"});
  }
  return *row.maker;
}

Error usage(const Location& location, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = location.display(),
                .action = {},
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

/// What only an image that is the disk itself can do.
void check_container(const Location& location, const TargetOptions& options,
                     const ImageLayout& layout) {
  const std::string format = layout.format.name();
  if (!location.store().makes_files) {
    throw usage(location, "is not a file, and a " + format + " image is made in a file only",
                "leave out -O " + format + ": such a target gets the disk itself");
  }
  if (options.resume) {
    throw usage(location, "a copy to a " + format + " image cannot be resumed",
                "leave --resume out: what an earlier run has left is removed");
  }
  if (options.reflink == Reflink::kAlways) {
    throw usage(location, "a " + format + " image shares no blocks with the source",
                "leave out --reflink always");
  }
}

}  // namespace

void check_new_image(const Location& location, const TargetOptions& options,
                     const ImageLayout& layout) {
  const FormatMaker& maker = maker_of(layout, location);
  check_target_options(location, options);
  maker.check(layout, location.display());
  if (maker.make != nullptr) {
    check_container(location, options, layout);
    maker.check_size(layout, options.size, location.display());
  }
}

std::unique_ptr<Target> create_image(const Location& location, const TargetOptions& options,
                                     const ImageLayout& layout, const ImageLink& link) {
  check_new_image(location, options, layout);
  const FormatMaker& maker = maker_of(layout, location);
  if (!link.backing.empty() && maker.check_link == nullptr) {
    throw usage(
        location,
        std::string("no image of the format ") + layout.format.name() + " lies over another",
        "add -O qcow2");
  }
  if (maker.make == nullptr) {
    return open_target(location, options);
  }
  if (options.grows) {
    throw usage(location, "the size of the disk has to be known before its image is made",
                "say it with --size, or save the disk to a file first");
  }
  maker.check_link(layout, link, location.display());
  TargetOptions of_file = options;
  of_file.size = 0;
  of_file.grows = true;
  of_file.regular_file = true;
  return maker.make(open_target(location, of_file), layout, options.size, link);
}

}  // namespace vmferry
