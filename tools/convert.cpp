// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "tools/command.h"
#include "tools/options.h"
#include "tools/progress.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"
#include "vmferry/open.h"

namespace vmferry::cli {
namespace {

struct Options {
  std::string source;
  std::string target;
  SourceOptions from;
  TargetOptions to;
  RunOptions run;
  std::optional<uint64_t> rate_limit;
  bool verify = false;
};

void verify_target(Session& session, const Options& options, const Source& source, Sink& sink) {
  const std::unique_ptr<Source> written = sink.read_back();
  ProgressDisplay display(session, options.run.progress_style(), "verify",
                          {&source, written.get()});
  const CompareResult result = compare(
      source, *written, {.jobs = options.run.jobs, .stop = session.stop()}, display.counters());
  if (result.same) return;
  throw Error({.kind = ErrorKind::kIo,
               .object = sink.name(),
               .action = "verify",
               .offset = result.first_difference,
               .cause = "reads back differently from the source",
               .hint = "suspect the target's storage, or a source that changed during the copy"});
}

void print_result(const Options& options, const std::string& target, const CopyResult& result,
                  double seconds) {
  if (options.run.json) {
    const nlohmann::ordered_json report = {{"target", target},
                                           {"virtual_bytes", result.virtual_bytes},
                                           {"read_bytes", result.read_bytes},
                                           {"written_bytes", result.written_bytes},
                                           {"zero_skipped_bytes", result.zero_bytes},
                                           {"seconds", seconds},
                                           {"verified", options.verify}};
    fmt::print("{}\n", report.dump());
  } else if (!options.run.quiet) {
    fmt::print("{}: {} of data, {} of zeros skipped, in {:.1f} s{}\n", target,
               about_bytes(result.written_bytes), about_bytes(result.zero_bytes), seconds,
               options.verify ? ", verified" : "");
  }
}

void refuse_layout(const Options& options) {
  if (options.to.layout == RbdLayout()) return;
  throw Error({.kind = ErrorKind::kUsage,
               .object = options.target,
               .action = {},
               .cause = "is no RBD volume: objects, stripes, pools and features mean nothing to it",
               .hint = "leave those options out, or name a target rbd:POOL/IMAGE"});
}

int convert(Session& session, Options& options) {
  const auto start = std::chrono::steady_clock::now();
  const Location from = parse_location(options.source);
  const Location to = parse_location(options.target);
  if (std::holds_alternative<PathLocation>(to)) refuse_layout(options);
  options.to.ceph = options.from.ceph;
  const OpenImage image = open_image(from, options.from);
  print_warnings(image, options.run.quiet);
  const Source& source = *image.guest;

  options.to.size = source.size();
  options.to.sources = image.opened;
  options.to.before_making = [&session] { session.making_something(); };
  const std::unique_ptr<Sink> sink = open_target(to, options.to);
  std::unique_ptr<Sink> limited;
  if (options.rate_limit) limited = limit_rate(*sink, *options.rate_limit, session.stop());

  CopyResult result;
  {
    ProgressDisplay display(session, options.run.progress_style(), "convert", {&source});
    result = copy(source, limited ? *limited : *sink,
                  {.jobs = options.run.jobs, .stop = session.stop()}, display.counters());
  }
  if (options.verify) verify_target(session, options, source, *sink);
  if (session.stop().stop_requested()) throw cancelled_error();
  sink->publish();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  print_result(options, display_name(to), result, elapsed.count());
  return 0;
}

void add_target_options(CLI::App& app, Options& options) {
  app.add_flag("--force", options.to.force,
               "Replace an existing file or volume; overwrite a block device");
  app.add_flag("--verify", options.verify,
               "Read the target back and compare it with the source before it gets its name");
  add_size_option(app, "--rate-limit", options.rate_limit, "Write at most SIZE bytes a second");

  const char* group = "New RBD volume";
  RbdLayout& layout = options.to.layout;
  add_size_option(app, "--object-size", layout.object_size,
                  "Size of its objects (default: the cluster's, mostly 4M)")
      ->group(group);
  add_size_option(app, "--stripe-unit", layout.stripe_unit, "Stripe unit")->group(group);
  app.add_option("--stripe-count", layout.stripe_count, "Objects in a stripe")
      ->type_name("N")
      ->check(CLI::Range(1, 65536))
      ->group(group);
  app.add_option("--data-pool", layout.data_pool, "Pool for its data")
      ->type_name("POOL")
      ->group(group);
  app.add_option("--features", layout.features,
                 "Its features, with commas between: layering, exclusive-lock, object-map, "
                 "fast-diff, deep-flatten, journaling")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
}

}  // namespace

std::function<int(Session&)> add_convert(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("SOURCE", options->source,
                 "A raw or qcow2 file, a block device, or rbd:POOL/IMAGE[@SNAPSHOT]")
      ->required();
  app.add_option("TARGET", options->target,
                 "A new file, a block device (with --force), or rbd:POOL/IMAGE")
      ->required();
  add_format_option(app, "-f,--format", "the source", options->from.format);
  add_policy_option(app, options->from.policy);
  add_target_options(app, *options);
  add_run_options(app, options->run);
  add_ceph_options(app, options->from.ceph);
  app.footer(
      "Examples:\n"
      "  vmferry convert web1.raw web1-sparse.raw\n"
      "  vmferry convert -f qcow2 --verify web1.qcow2 rbd:vms/web1\n"
      "  vmferry convert rbd:vms/web1@monday /backup/web1.raw\n"
      "\nSee vmferry-convert(1).");
  return [options](Session& session) { return convert(session, *options); };
}

}  // namespace vmferry::cli
