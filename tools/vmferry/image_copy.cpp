// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/image_copy.h"

#include <map>

#include "lib/core/null_sink.h"
#include "tools/vmferry/trim_options.h"
#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/in_use.h"
#include "vmferry/transfer.h"

namespace vmferry::cli {
namespace {

void refuse_limited_sharing(const ImageCopy& job) {
  if (job.to.reflink != Reflink::kAlways || !job.rate_limit) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = job.target->display(),
               .action = {},
               .cause = "--reflink always writes nothing that --rate-limit could limit",
               .hint = "leave one of them out"});
}

/// What is trimmed is an overlay that every run makes anew. A stamp tells of changes only once
/// nobody writes any more.
void refuse_resuming(const ImageCopy& job) {
  if (!job.to.resume || (!job.trim && !job.source_in_use)) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = job.target->display(),
               .action = {},
               .cause = job.trim ? "a copy with --trim cannot be resumed"
                                 : "a copy of a source that is in use cannot be resumed",
               .hint = "leave --resume out: what an earlier run has left is removed"});
}

bool may_be_resumed(const ImageCopy& job) {
  return !job.never_keep && !job.trim && !job.source_in_use;
}

struct OpenedSource {
  std::shared_ptr<const Source> guest;
  std::vector<Identity> identities;
  std::vector<TrimmedPart> parts;
};

OpenedSource open_source(Session& session, const ImageCopy& job) {
  const Location& from = *job.source;
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
  OpenedSource opened = {std::move(image.guest), std::move(image.opened), {}};
  if (job.trim) {
    session.making_something();
    TrimmedImage trimmed = trim_copy(from, opened.guest, image.format, trim_options(session, job));
    opened.guest = std::move(trimmed.guest);
    opened.parts = std::move(trimmed.parts);
  }
  return opened;
}

}  // namespace

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
  options.ceph = job.from.ceph;
  options.assume_unused = job.to.assume_unused;
  options.stop = session.stop();
  options.notice = [quiet = job.run.quiet](const std::string& text) {
    if (!quiet) {
      say_notice(text);
    }
  };
  return options;
}

CopyOutcome copy_image(Session& session, ImageCopy& job, const std::string& what) {
  const Location& to = *job.target;
  check_target_options(to, job.to);
  refuse_limited_sharing(job);
  refuse_resuming(job);
  job.to.ceph = job.from.ceph;
  job.to.before_making = [&session] { session.making_something(); };
  job.to.notice = say_notice;
  job.to.stop = session.stop();
  const OpenedSource opened = open_source(session, job);
  const Source& source = *opened.guest;

  const Verify verify = job.verify_how.empty()     ? Verify::kNo
                        : job.verify_how == "read" ? Verify::kReading
                                                   : Verify::kYes;
  job.to.size = source.size();
  job.to.sources = opened.identities;
  const std::string stamp = source.stamp();
  std::optional<DiskDigest> digest;
  if (job.digest) {
    digest.emplace(source.size());
  }
  const std::unique_ptr<Target> target = open_target(to, job.to);
  if (job.to.resume && !target->adopted()) {
    say_notice(to.display() +
               ": there is no unfinished copy of it, so it is copied from the beginning");
  }
  ProgressObserver observer(session, job.run.progress_style());
  const TransferResult copied = transfer(source, *target,
                                         {.phase = what,
                                          .jobs = job.run.jobs,
                                          .rate_limit = job.rate_limit,
                                          .source_in_use = job.source_in_use,
                                          .verify = verify,
                                          .digest = digest ? &*digest : nullptr,
                                          .keep_partial = may_be_resumed(job),
                                          .checkpoint_every = std::chrono::milliseconds(
                                              static_cast<int64_t>(job.checkpoint_every * 1000)),
                                          .stop = session.stop()},
                                         &observer);
  return {copied, opened.parts, stamp, digest ? digest->text() : ""};
}

CopyOutcome rehearse_image_copy(Session& session, ImageCopy& job) {
  const OpenedSource opened = open_source(session, job);
  NullSink nothing(opened.guest->size());
  Progress counters;
  const ProgressDisplay display(session, job.run.progress_style(), "dry run", counters,
                                {opened.guest.get()});
  const CopyResult result =
      copy(*opened.guest, nothing, {.jobs = job.run.jobs, .stop = session.stop()}, counters);
  check_source(*opened.guest, job.source_in_use);
  return {{result}, opened.parts, {}, {}};
}

void add_copy_options(CLI::App& app, ImageCopy& job) {
  add_image_options(app, "the source", job.from);
  add_trust_options(app, job.from);
  add_in_use_option(app, job.source_in_use);
  app.add_flag("--force", job.to.force,
               "Replace an existing file or volume; overwrite a block device");
  app.add_flag("--assume-unused", job.to.assume_unused,
               "Take what is overwritten, replaced or changed as not in use, where that cannot "
               "be asked");
  // A flag takes none of the words that follow.
  app.add_flag(
         "--verify", job.verify_how,
         "Prove what was written before the target gets its name: by checksums that its store "
         "computes, or by reading it back; =read: always by reading it back")
      ->option_text("[=read]")
      ->check([](const std::string& how) -> std::string {
        return how == "true" || how == "read" ? "" : "only --verify and --verify=read";
      });
  job.from.ceph.stall_timeout = 600;
  app.add_option("--stall-timeout", job.from.ceph.stall_timeout,
                 "How long to wait for a cluster that went away, in seconds (default: 600)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 864000));
  app.add_flag("--resume", job.to.resume,
               "Go on with what an earlier run of the same copy has left");
  app.add_option_function<std::string>(
         "--keep-partial", [&job](const std::string& when) { job.never_keep = when == "never"; },
         "Keep an unfinished copy to go on with: auto (after 10 s, if the store or the machine "
         "fails or it is interrupted) or never (default: auto)")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "never"}));
  app.add_option("--checkpoint-every", job.checkpoint_every,
                 "Seconds between two checkpoints, from which a copy can go on (default: 10)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0.05, 86400.0));
  add_size_option(app, "--rate-limit", job.rate_limit, "Write at most SIZE bytes a second");

  static const std::map<std::string, Reflink> kReflinks = {
      {"auto", Reflink::kAuto}, {"always", Reflink::kAlways}, {"never", Reflink::kNever}};
  app.add_option_function<std::string>(
         "--reflink", [&job](const std::string& name) { job.to.reflink = kReflinks.at(name); },
         "May a new file share blocks with the source? auto, always or never (default: auto)")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));

  add_layout_options(app, job.to.layout);
  add_trim_options(app, job.trim, job.trimming);
  app.add_option("--connect", job.connect,
                 "Refuse a source that a running machine of this libvirt uses; --trim and "
                 "--in-place ask this machine's own, if it answers")
      ->type_name("URI");
  add_run_options(app, job.run);
  add_ceph_options(app, job.from.ceph);
}

}  // namespace vmferry::cli
