// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/core/format_bytes.h"
#include "tools/vmferry/image_copy.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/in_use.h"

namespace vmferry::cli {
namespace {

/// What needs more than one look at the source.
void refuse_for_stream(const ImageCopy& job) {
  const struct {
    bool is_wanted;
    const char* cause;
    const char* hint;
  } impossible[] = {
      {job.to.resume, "a copy of what is read in order cannot be resumed", "leave --resume out"},
      {job.trim, "what is read in order cannot be trimmed", "save it to a file first"},
      {!job.snapshots.empty(), "what is read in order has no snapshots", "leave --snapshots out"},
      {job.to.base.has_value(), "what is read in order cannot be compared with a base",
       "save it to a file first"},
      {job.from.snapshot.is_given(), "it is raw, and only qcow2 images have snapshots of their own",
       "leave --snapshot out"},
      {job.to.reflink == Reflink::kAlways, "what is read in order shares no blocks with its copy",
       "leave out --reflink always"},
  };
  for (const auto& [is_wanted, cause, hint] : impossible) {
    if (is_wanted) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = job.source->display(),
                   .action = {},
                   .cause = cause,
                   .hint = hint});
    }
  }
}

/// Only the size of a stream is not known before.
void refuse_size(const ImageCopy& job, const Source& source) {
  if (!job.size) {
    return;
  }
  throw Error(
      {.kind = ErrorKind::kUsage,
       .object = source.name(),
       .action = {},
       .cause = "--size is for what is read in order; this disk has " + exact_bytes(source.size()),
       .hint = "leave --size out"});
}

}  // namespace

OpenedSource open_source(Session& session, ImageCopy& job) {
  const Location& from = *job.source;
  job.from.streams = true;
  if (job.trim) {
    refuse_snapshot(job);
  }
  if (job.trim || !job.connect.empty()) {
    refuse_running_guest(from, job.connect, session.stop());
  }
  OpenImage image = open_image(from, job.from);
  // A file system that changes underneath cannot be trimmed, whatever the user says.
  if (job.trim || !job.source_in_use) {
    refuse_being_written(image);
  }
  print_warnings(image, job.run.quiet);
  OpenedSource opened = {std::move(image.guest),
                         std::move(image.stream),
                         std::move(image.below),
                         std::move(image.opened),
                         {}};
  if (opened.stream) {
    refuse_for_stream(job);
    if (job.size) {
      opened.stream = expect_size(std::move(opened.stream), *job.size);
    }
    return opened;
  }
  refuse_size(job, *opened.guest);
  if (job.trim) {
    session.making_something();
    TrimmedImage trimmed = trim_copy(from, opened.guest, image.format, trim_options(session, job));
    opened.guest = std::move(trimmed.guest);
    opened.below.clear();  // it has one more above them
    opened.parts = std::move(trimmed.parts);
  }
  return opened;
}

void refuse_snapshot(const ImageCopy& job) {
  if (!job.from.snapshot.is_given()) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = job.source->display(),
               .action = {},
               .cause = "a snapshot can be copied, but neither trimmed nor made sparse in place",
               .hint = "copy it first: vmferry convert --snapshot"});
}

TrimOptions trim_options(Session& session, const ImageCopy& job) {
  TrimOptions options = job.trimming;
  options.network = job.from.network;
  options.assume_unused = job.to.assume_unused;
  options.stop = session.stop();
  options.notice = [quiet = job.run.quiet](const std::string& text) {
    if (!quiet) {
      say_notice(text);
    }
  };
  return options;
}

}  // namespace vmferry::cli
