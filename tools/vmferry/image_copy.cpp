// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/image_copy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

#include "lib/core/format_bytes.h"
#include "lib/core/null_sink.h"
#include "lib/core/printable.h"
#include "tools/vmferry/history.h"
#include "tools/vmferry/shared_base.h"
#include "tools/vmferry/trim_options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/create.h"
#include "vmferry/error.h"
#include "vmferry/rate_file.h"
#include "vmferry/transfer.h"

namespace vmferry::cli {
namespace {

void refuse_limited_sharing(const ImageCopy& job) {
  if (job.to.reflink != Reflink::kAlways || (!job.rate_limit && job.rate_file.empty())) {
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

void refuse_json_in_disk(const ImageCopy& job, const Location& to) {
  if (!to.is_standard_output() || !job.run.json) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = "standard output",
               .action = {},
               .cause = "it takes the disk, so --json cannot write there",
               .hint = "leave --json out; 'vmferry convert --report FILE' writes JSON to a file"});
}

/// A snapshot has none, and what is trimmed is another disk.
void refuse_snapshots(const ImageCopy& job) {
  if (job.snapshots.empty() || (!job.trim && !job.from.snapshot.is_given())) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = job.source->display(),
               .action = {},
               .cause = job.trim ? "a disk cannot be trimmed while its snapshots are copied"
                                 : "--snapshot copies one state as the disk, --snapshots the disk "
                                   "with its snapshots",
               .hint = "leave one of them out"});
}

/// Before anything is copied, though the target is made by now.
void require_marks(Target& target, const TargetOptions& options) {
  if (options.marks == 0 || target.can_mark()) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = target.sink().name(),
               .action = {},
               .cause = "such a target keeps no snapshots",
               .hint = "copy to a volume or a qcow2 image (-O qcow2), or one state: --snapshot "
                       "NAME"});
}

/// Another cluster has other users and keys.
NetworkOptions network_of_target(const ImageCopy& job) {
  NetworkOptions network = job.from.network;
  if (!job.to_ceph_conf.empty()) {
    network.ceph.conf = job.to_ceph_conf;
    network.ceph.id.clear();
    network.ceph.keyring.clear();
    network.ceph.cluster.clear();
  }
  if (!job.to_id.empty()) {
    network.ceph.id = job.to_id;
  }
  return network;
}

/// Those that are copied before the disk as it is now; empty: none. The target begins as the first
/// one.
std::vector<size_t> choose_states(ImageCopy& job, OpenedSource& opened) {
  if (job.chain_as_snapshots) {
    opened.guest = layers_as_history(opened.guest);
  }
  if (job.snapshots.empty()) {
    return {};
  }
  std::vector<size_t> points = choose_points(*opened.guest, job.snapshots);
  if (points.empty()) {
    say_notice(printable(opened.guest->name()) +
               (job.chain_as_snapshots ? ": it has no backing image" : ": it has no snapshots"));
    return points;
  }
  const auto& history = dynamic_cast<const History&>(*opened.guest);
  const bool all = job.snapshots == std::vector<std::string>{"all"};
  const auto others = all ? history.left_out() : std::vector<std::string>();
  if (!others.empty() && !job.run.quiet) {
    say_notice(fmt::format("{}: not copied: {}", printable(opened.guest->name()),
                           fmt::join(others, ", ")));
  }
  job.to.marks = points.size();
  job.to.size = history.points()[points.front()].size;
  return points;
}

/// Of a disk that is copied without them to where they could be.
void tell_of_snapshots(const ImageCopy& job, const OpenedSource& opened, const Target& target) {
  const auto* history = dynamic_cast<const History*>(opened.guest.get());
  if (history == nullptr || !target.can_mark() || job.from.snapshot.is_given() || job.run.quiet) {
    return;
  }
  const size_t count = history->points().size();
  if (count > 0) {
    say_notice(fmt::format("{}: {} snapshot{} not copied ({})", printable(opened.guest->name()),
                           count, count == 1 ? " is" : "s are",
                           job.to.base ? "a volume over a base has none" : "see --snapshots"));
  }
}

}  // namespace

TransferOptions transfer_options(Session& session, const ImageCopy& job, const std::string& what) {
  const Verify verify = job.verify_how.empty()     ? Verify::kNo
                        : job.verify_how == "read" ? Verify::kReading
                                                   : Verify::kYes;
  return {.phase = what,
          .jobs = job.run.jobs,
          .rate_limit = job.rate_limit,
          .rate_now = job.rate_file.empty() ? RateNow() : rate_from_file(job.rate_file, say_notice),
          .source_in_use = job.source_in_use,
          .verify = verify,
          .keep_partial = may_be_resumed(job),
          .checkpoint_every =
              std::chrono::milliseconds(static_cast<int64_t>(job.checkpoint_every * 1000)),
          .stop = session.stop()};
}

CopyOutcome copy_image(Session& session, ImageCopy& job, const std::string& what) {
  const Location& to = *job.target;
  job.to.verify = !job.verify_how.empty();
  check_new_image(to, job.to, job.layout);
  refuse_json_in_disk(job, to);
  refuse_limited_sharing(job);
  refuse_resuming(job);
  if (job.chain_as_snapshots) {
    job.snapshots = {"all"};
  }
  refuse_snapshots(job);
  job.from.network.stop = session.stop();
  job.from.tmp_dir = job.trimming.tmp_dir;
  ProgressObserver observer(session, job.run.progress_style());
  job.from.observer = &observer;
  job.to.network = network_of_target(job);
  job.to.before_making = [&session, &to] {
    session.making_something(to.is_standard_output() ? Session::kPartOfStream
                                                     : Session::kPartialTarget);
  };
  job.to.notice = say_notice;
  job.to.stop = session.stop();
  OpenedSource opened = open_source(session, job);
  const std::optional<uint64_t> size =
      opened.stream ? opened.stream->size() : std::optional(opened.guest->size());
  job.to.size = size.value_or(0);
  job.to.grows = !size;
  job.to.sources = opened.identities;
  const std::vector<size_t> points = choose_states(job, opened);
  const std::string stamp = opened.stream ? opened.stream->stamp() : opened.guest->stamp();
  std::optional<DiskDigest> digest;
  if (job.digest) {
    digest.emplace(opened.stream ? job.to.size : opened.guest->size());
  }
  const std::unique_ptr<Target> target = create_image(to, job.to, job.layout);
  require_marks(*target, job.to);
  if (job.to.resume && !target->adopted()) {
    say_notice(to.display() +
               ": there is no unfinished copy of it, so it is copied from the beginning");
  }
  if (points.empty()) {
    tell_of_snapshots(job, opened, *target);
  }
  TransferOptions options = transfer_options(session, job, what);
  options.digest = digest ? &*digest : nullptr;
  if (!opened.stream) {
    options.base_depth =
        base_depth_of(job, opened.guest->name(), opened.below, session.stop(), observer);
  }
  if (!points.empty()) {
    const HistoryResult copied =
        transfer_history(*opened.guest, points, *target, options, &observer);
    return {copied, copied.points, opened.parts, stamp, digest ? digest->text() : ""};
  }
  const TransferResult copied = opened.stream
                                    ? transfer(*opened.stream, *target, options, &observer)
                                    : transfer(*opened.guest, *target, options, &observer);
  return {copied, {}, opened.parts, stamp, digest ? digest->text() : ""};
}

void tell_result(const ImageCopy& job, const std::string& text, const std::string& done) {
  if (job.target && job.target->is_standard_output()) {
    say(text);
  } else {
    print_report(text, done);
  }
}

CopyOutcome rehearse_image_copy(Session& session, ImageCopy& job) {
  const OpenedSource opened = open_source(session, job);
  const CopyOptions options = {.jobs = job.run.jobs, .stop = session.stop()};
  Progress counters;
  if (opened.stream) {
    NullSink nothing(opened.stream->size().value_or(0));
    const ProgressDisplay display(session, job.run.progress_style(), "dry run", counters, {});
    return {{copy(*opened.stream, nothing, options, counters)}, {}, opened.parts, {}, {}};
  }
  NullSink nothing(opened.guest->size());
  const ProgressDisplay display(session, job.run.progress_style(), "dry run", counters,
                                {opened.guest.get()});
  const CopyResult result = copy(*opened.guest, nothing, options, counters);
  check_source(*opened.guest, job.source_in_use);
  return {{result}, {}, opened.parts, {}, {}};
}

void add_copy_options(CLI::App& app, ImageCopy& job) {
  add_image_options(app, "the source", job.from);
  add_trust_options(app, job.from);
  add_in_use_option(app, job.source_in_use);
  app.add_flag("--force", job.to.force,
               "Replace an existing file or volume; overwrite a block device or an NBD export");
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
  job.from.network.set_stall_timeout(600);
  app.add_option_function<unsigned>(
         "--stall-timeout",
         [&job](unsigned seconds) { job.from.network.set_stall_timeout(seconds); },
         "How long to wait for a cluster or server that went away, in seconds (default: 600)")
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
  add_size_option(app, "--size", job.size,
                  "What is read in order (-, or a compressed file) has SIZE bytes, no more and no "
                  "less");
  add_size_option(app, "--rate-limit", job.rate_limit, "Write at most SIZE bytes a second");
  add_rate_file_option(app, job.rate_file);

  static const std::map<std::string, Reflink> kReflinks = {
      {"auto", Reflink::kAuto}, {"always", Reflink::kAlways}, {"never", Reflink::kNever}};
  app.add_option_function<std::string>(
         "--reflink", [&job](const std::string& name) { job.to.reflink = kReflinks.at(name); },
         "May a new file share blocks with the source? auto, always or never (default: auto)")
      ->type_name("WHEN")
      ->check(CLI::IsMember({"auto", "always", "never"}));

  add_image_layout_options(app, job.layout);
  add_layout_options(app, job.to.layout);
  add_trim_options(app, job.trim, job.trimming);
  app.add_option("--connect", job.connect,
                 "Refuse a source that a running machine of this libvirt uses; --trim and "
                 "--in-place ask this machine's own, if it answers")
      ->type_name("URI");
  add_run_options(app, job.run);
  add_network_options(app, job.from.network);
}

}  // namespace vmferry::cli
