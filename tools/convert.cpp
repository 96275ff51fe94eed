// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "tools/command.h"
#include "tools/copy_job.h"
#include "tools/options.h"
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
  const CopyResult result = run_copy_job(session, options.run, source, *sink,
                                         {.what = "convert",
                                          .rate_limit = options.rate_limit,
                                          .verify = options.verify,
                                          .stop = session.stop()});
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

  add_layout_options(app, options.to.layout);
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
