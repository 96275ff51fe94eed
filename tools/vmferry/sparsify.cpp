// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/sparsify.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/image_copy.h"
#include "tools/vmferry/trim_options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/progress.h"
#include "vmferry/error.h"
#include "vmferry/in_use.h"

namespace vmferry::cli {
namespace {

struct SparsifyOptions {
  std::string image;
  std::string target;  ///< empty: none
  ImageCopy job;
  bool in_place = false;
  bool dry_run = false;
};

struct Outcome {
  uint64_t virtual_bytes = 0;
  SpaceUse use;
  std::vector<TrimmedPart> parts;
};

nlohmann::ordered_json or_null(const std::optional<uint64_t>& bytes) {
  return bytes ? nlohmann::ordered_json(*bytes) : nlohmann::ordered_json();
}

nlohmann::ordered_json as_json(const SparsifyOptions& options, const Outcome& outcome,
                               double seconds) {
  nlohmann::ordered_json report = {{"image", options.job.source->display()}};
  if (options.job.target) {
    report["target"] = options.job.target->display();
  }
  report["dry_run"] = options.dry_run;
  report["virtual_bytes"] = outcome.virtual_bytes;
  report["allocated_before_bytes"] = or_null(outcome.use.before);
  report["allocated_after_bytes"] = or_null(outcome.use.after);
  report["saved_bytes"] = outcome.use.dropped;
  report["seconds"] = seconds;
  if (options.job.trim) {
    report["parts"] = parts_as_json(outcome.parts);
  }
  return report;
}

std::string in_words(const SparsifyOptions& options, const Outcome& outcome, double seconds) {
  const SpaceUse& use = outcome.use;
  const Location& shown = options.job.target ? *options.job.target : *options.job.source;
  std::string line =
      fmt::format("{}: {}", printable(shown.display()), about_bytes(outcome.virtual_bytes));
  if (use.before) {
    line += fmt::format(", {} allocated before", about_bytes(*use.before));
  }
  if (use.after) {
    line += fmt::format(", {} {}", about_bytes(*use.after), options.dry_run ? "would be" : "after");
  }
  return line + fmt::format("; {} {} in {:.1f} s\n", options.dry_run ? "would save" : "saved",
                            about_bytes(use.dropped), seconds);
}

void settle_saved(SpaceUse& use) {
  if (use.before && use.after) {
    use.dropped = *use.before - std::min(*use.before, *use.after);
  }
}

/// Space before and after a copy, of which the target's share is `after`.
Outcome judge(const ImageCopy& job, CopyOutcome done, std::optional<uint64_t> after) {
  Outcome outcome = {done.copied.virtual_bytes, {}, std::move(done.parts)};
  outcome.use.before = allocated_bytes(*job.source, job.from.network);
  outcome.use.after = after;
  outcome.use.dropped =
      done.copied.read_bytes - std::min(done.copied.read_bytes, done.copied.written_bytes);
  settle_saved(outcome.use);
  return outcome;
}

/// What a copy of it would take.
Outcome rehearse(Session& session, SparsifyOptions& options) {
  CopyOutcome done = rehearse_image_copy(session, options.job);
  const uint64_t written = done.copied.written_bytes;
  return judge(options.job, std::move(done), written);
}

Outcome copied(Session& session, SparsifyOptions& options) {
  CopyOutcome done = copy_image(session, options.job, "sparsify");
  const std::optional<uint64_t> after =
      allocated_bytes(*options.job.target, options.job.from.network);
  return judge(options.job, std::move(done), after);
}

Outcome in_place(Session& session, const SparsifyOptions& options) {
  const ImageCopy& job = options.job;
  refuse_snapshot(job);
  const Location& location = *job.source;
  refuse_without_space(location);  // before anybody is asked
  if (!options.dry_run) {
    refuse_running_guest(location, job.connect, session.stop());
  }
  const OpenImage image = open_image(location, job.from);
  if (image.format.is_foreign()) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = location.display(),
                 .action = "sparsify in place",
                 .cause = std::string("vmferry does not change ") + image.format.name() + " images",
                 .hint = "name a target: the copy is sparse"});
  }
  Outcome outcome = {image.guest->size(), {}, {}};
  std::optional<uint64_t> before;
  if (job.trim) {
    before = allocated_bytes(location, job.from.network);
    session.making_something();
    outcome.parts = trim_in_place(location, *image.guest, image.format, trim_options(session, job));
  }
  Progress counters;
  const ProgressDisplay display(session, job.run.progress_style(), "sparsify", counters,
                                {image.guest.get()});
  outcome.use = sparsify_in_place(location,
                                  {.jobs = job.run.jobs,
                                   .dry_run = options.dry_run,
                                   .assume_unused = job.to.assume_unused,
                                   .network = job.from.network,
                                   .before_change = [&session] { session.making_something(); },
                                   .stop = session.stop()},
                                  counters);
  if (before) {
    outcome.use.before = before;
  }
  settle_saved(outcome.use);
  return outcome;
}

/// In a dry run a copy tells what cannot be told in place without changing something.
Outcome carry_out(Session& session, SparsifyOptions& options) {
  const bool copies = options.job.target.has_value();
  if (!options.dry_run) {
    return copies ? copied(session, options) : in_place(session, options);
  }
  if (copies || options.job.trim || !can_rehearse_in_place(*options.job.source)) {
    return rehearse(session, options);
  }
  return in_place(session, options);
}

Error usage(std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = "sparsify",
                .action = {},
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void check_options(const SparsifyOptions& options) {
  const bool has_target = !options.target.empty();
  if (options.in_place && has_target) {
    throw usage("--in-place and a target exclude each other", "name one image, or leave it out");
  }
  if (!options.in_place && !has_target && !options.dry_run) {
    throw usage("says neither --in-place nor a target",
                "--in-place changes how the image is stored; a target leaves it alone");
  }
  if (!has_target &&
      (options.job.to.force || !options.job.verify_how.empty() || options.job.rate_limit ||
       !options.job.rate_file.empty() || options.job.to.reflink != Reflink::kAuto ||
       options.job.to.layout != RbdLayout() || options.job.layout != ImageLayout())) {
    throw usage(
        "--force, --verify, --rate-limit, --reflink, -O and the layout of a volume or an image are "
        "about a target",
        "leave them out, or name a target");
  }
}

std::string report_of(const SparsifyOptions& options, const Outcome& outcome, double seconds) {
  if (options.job.run.json) {
    return json_text(as_json(options, outcome, seconds)) + "\n";
  }
  if (options.job.run.quiet) {
    return {};
  }
  return parts_in_words(outcome.parts) + in_words(options, outcome, seconds);
}

int sparsify(Session& session, SparsifyOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  check_options(options);
  options.job.source = parse_location(options.image);
  if (!options.target.empty()) {
    options.job.target = parse_location(options.target);
  }
  const Outcome outcome = carry_out(session, options);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const std::string report = report_of(options, outcome, elapsed.count());
  if (options.dry_run) {
    print(report);
  } else {
    tell_result(options.job, report,
                options.in_place ? "the image is sparsified" : "the target is complete");
  }
  return 0;
}

}  // namespace

std::function<int(Session&)> add_sparsify(CLI::App& app) {
  auto options = std::make_shared<SparsifyOptions>();
  app.add_option("IMAGE", options->image,
                 "A raw or qcow2 file, a block device, nbd://..., or rbd:POOL/IMAGE")
      ->required();
  app.add_option(
      "TARGET", options->target,
      "Where a sparse copy goes: a new file, a block device or nbd://... (with --force), "
      "or rbd:POOL/IMAGE");
  app.add_flag("--in-place", options->in_place,
               "Give back the space of IMAGE itself; what it reads as stays the same");
  app.add_flag("--dry-run", options->dry_run,
               "Only say what would be saved; write nothing, and do not look at TARGET");
  add_copy_options(app, options->job);
  app.footer(
      "Examples:\n"
      "  vmferry sparsify --in-place web1.raw\n"
      "  vmferry sparsify --dry-run web1.raw\n"
      "  vmferry sparsify web1.raw rbd:vms/web1\n"
      "\nSee vmferry-sparsify(1).");
  return [options](Session& session) { return sparsify(session, *options); };
}

}  // namespace vmferry::cli
