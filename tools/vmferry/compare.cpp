// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/null_sink.h"
#include "lib/core/printable.h"
#include "lib/core/shell_word.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/progress.h"
#include "vmferry/copy.h"
#include "vmferry/error.h"
#include "vmferry/open.h"
#include "vmferry/transfer.h"

namespace vmferry::cli {
namespace {

struct Options {
  std::string a;
  std::string b;
  SourceOptions from_a;
  SourceOptions from_b;
  RunOptions run;
  bool ignore_trailing_zeros = false;
  bool source_in_use = false;
  bool digest = false;
};

std::string describe(const Options& options, const CompareResult& result, uint64_t size_a,
                     uint64_t size_b) {
  if (result.same) {
    return "the images are the same";
  }
  const uint64_t at = *result.first_difference;
  if (!options.ignore_trailing_zeros && at == std::min(size_a, size_b) && size_a != size_b) {
    return fmt::format("the sizes differ: {} is {} bytes, {} is {}", printable(options.a), size_a,
                       printable(options.b), size_b);
  }
  return fmt::format("the images differ, first at byte {}", at);
}

void print_result(const Options& options, const CompareResult& result, uint64_t size_a,
                  uint64_t size_b, const std::string& digest) {
  if (options.run.json) {
    nlohmann::ordered_json report = {{"same", result.same}};
    if (result.first_difference) {
      report["first_difference"] = *result.first_difference;
    }
    if (!digest.empty()) {
      report["digest"] = digest;
    }
    report["a"] = {{"name", options.a}, {"virtual_bytes", size_a}};
    report["b"] = {{"name", options.b}, {"virtual_bytes", size_b}};
    print(json_text(report) + "\n");
  } else if (!options.run.quiet) {
    print(describe(options, result, size_a, size_b) + "\n" +
          (digest.empty() ? "" : "digest: " + digest + "\n"));
  }
}

/// The digest of the image B is looked at, and compared with the one given in place of A.
int compare_with_digest(Session& session, Options& options) {
  const Location at = parse_location(options.b);
  const OpenImage image = open_image(at, options.from_b);
  if (!options.source_in_use) {
    refuse_being_written(image);
  }
  print_warnings(image, options.run.quiet);
  const Source& source = *image.guest;
  DiskDigest digest(source.size());
  {
    NullSink nothing(source.size());
    Progress counters;
    const ProgressDisplay display(session, options.run.progress_style(), "compare", counters,
                                  {&source});
    copy(source, nothing, {.jobs = options.run.jobs, .stop = session.stop(), .digest = &digest},
         counters);
  }
  check_source(source, options.source_in_use);
  const std::string found = digest.text();
  const bool same = found == options.a;
  if (options.run.json) {
    print(json_text({{"same", same},
                     {"digest", found},
                     {"b", {{"name", at.display()}, {"virtual_bytes", source.size()}}}}) +
          "\n");
  } else if (!options.run.quiet) {
    print(same ? "the image has this digest\n" : "the image has another digest: " + found + "\n");
  }
  return same ? 0 : 1;
}

/// A digest that lost a letter is no name of a file.
void refuse_nearly_digest(const std::string& text) {
  if (is_digest(text) || !text.starts_with("xxh64") || text.find(':') == std::string::npos) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = printable(text),
               .action = {},
               .cause = "this is no digest: one is 'xxh64t:' and 16 of the characters 0-9 and a-f",
               .hint = "copy all of it; a file of this name is " + shell_word("./" + text)});
}

int compare_images(Session& session, Options& options) {
  options.from_b.policy = options.from_a.policy;
  options.from_b.force_corrupt = options.from_a.force_corrupt;
  options.from_a.network.stop = session.stop();
  options.from_b.network = options.from_a.network;
  if (options.digest) {
    refuse_nearly_digest(options.a);
  }
  if (options.digest && is_digest(options.a)) {
    return compare_with_digest(session, options);
  }
  const Location at_a = parse_location(options.a);
  const Location at_b = parse_location(options.b);
  options.a = at_a.display();
  options.b = at_b.display();
  const OpenImage a = open_image(at_a, options.from_a);
  const OpenImage b = open_image(at_b, options.from_b);
  if (!options.source_in_use) {
    refuse_being_written(a);
    refuse_being_written(b);
  }
  print_warnings(a, options.run.quiet);
  print_warnings(b, options.run.quiet);
  CompareResult result;
  DiskDigest digest(a.guest->size());
  {
    Progress counters;
    const ProgressDisplay display(session, options.run.progress_style(), "compare", counters,
                                  {a.guest.get(), b.guest.get()});
    result = compare(*a.guest, *b.guest,
                     {.jobs = options.run.jobs,
                      .ignore_trailing_zeros = options.ignore_trailing_zeros,
                      .stop = session.stop(),
                      .digest = options.digest ? &digest : nullptr},
                     counters);
  }
  check_source(*a.guest, options.source_in_use);
  check_source(*b.guest, options.source_in_use);
  const bool tell = options.digest && result.same;
  print_result(options, result, a.guest->size(), b.guest->size(), tell ? digest.text() : "");
  return result.same ? 0 : 1;
}

}  // namespace

std::function<int(Session&)> add_compare(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("A", options->a,
                 "An image: a file, a block device, nbd://..., or rbd:POOL/IMAGE[@SNAPSHOT]")
      ->required();
  app.add_option("B", options->b, "The other one")->required();
  add_image_options(app, "A", options->from_a);
  add_image_options(app, "B", options->from_b, "-b");
  add_trust_options(app, options->from_a);
  add_in_use_option(app, options->source_in_use);
  app.add_flag("--ignore-trailing-zeros", options->ignore_trailing_zeros,
               "The longer image may go on with zeros");
  app.add_flag(
      "--digest", options->digest,
      "Print the digest of what a guest sees, if both are the same; A may be such a digest");
  add_run_options(app, options->run);
  add_network_options(app, options->from_a.network);
  app.footer(
      "Exit status: 0 the same, 1 different, 2 could not compare.\n"
      "\nExamples:\n"
      "  vmferry compare web1.qcow2 rbd:vms/web1\n"
      "  vmferry compare --digest xxh64t:4b0ad1a2c9f07f5e rbd:vms/web1\n"
      "\nSee vmferry-compare(1).");
  return [options](Session& session) { return compare_images(session, *options); };
}

}  // namespace vmferry::cli
