// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/image_copy.h"
#include "tools/vmferry/trim_options.h"
#include "tools/vmferry/ui/output.h"

namespace vmferry::cli {
namespace {

const char* verified_in_words(Verify verified) {
  switch (verified) {
    case Verify::kNo:
      return "";
    case Verify::kYes:
      return ", verified by the checksums of its store";
    case Verify::kReading:
      return ", verified by reading it back";
  }
  return "";
}

std::string report_of(const ImageCopy& job, const std::string& target, const CopyOutcome& outcome,
                      double seconds) {
  const TransferResult& result = outcome.copied;
  if (job.run.json) {
    nlohmann::ordered_json report = {{"target", target},
                                     {"virtual_bytes", result.virtual_bytes},
                                     {"read_bytes", result.read_bytes},
                                     {"written_bytes", result.written_bytes},
                                     {"shared_bytes", result.shared_bytes},
                                     {"zero_skipped_bytes", result.zero_bytes},
                                     {"seconds", seconds},
                                     {"verified", result.verified != Verify::kNo}};
    if (result.verified != Verify::kNo) {
      report["verified_by"] = result.verified == Verify::kYes ? "checksums" : "reading";
    }
    if (job.to.resume) {
      report["kept_bytes"] = result.kept_bytes;
    }
    if (job.digest) {
      report["digest"] = outcome.digest;
    }
    if (job.trim) {
      report["parts"] = parts_as_json(outcome.parts);
    }
    return json_text(report) + "\n";
  }
  if (job.run.quiet) {
    return {};
  }
  return parts_in_words(outcome.parts) +
         fmt::format("{}: {} of data, {} of zeros skipped, in {:.1f} s{}{}\n", printable(target),
                     about_bytes(result.written_bytes), about_bytes(result.zero_bytes), seconds,
                     result.kept_bytes == 0
                         ? ""
                         : ", beside " + about_bytes(result.kept_bytes) + " that were there",
                     verified_in_words(result.verified)) +
         (job.digest ? fmt::format("digest: {}\n", outcome.digest) : "");
}

int convert(Session& session, ImageCopy& job) {
  const auto start = std::chrono::steady_clock::now();
  const CopyOutcome outcome = copy_image(session, job, "convert");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const std::string target = parse_location(job.target).display();
  print_report(report_of(job, target, outcome, elapsed.count()), "the target is complete");
  return 0;
}

}  // namespace

std::function<int(Session&)> add_convert(CLI::App& app) {
  auto job = std::make_shared<ImageCopy>();
  app.add_option("SOURCE", job->source,
                 "A raw or qcow2 file, a block device, or rbd:POOL/IMAGE[@SNAPSHOT]")
      ->required();
  app.add_option("TARGET", job->target,
                 "A new file, a block device (with --force), or rbd:POOL/IMAGE")
      ->required();
  add_copy_options(app, *job);
  app.add_flag("--digest", job->digest,
               "Print a digest of what the guest sees, the same for every copy of this disk");
  app.footer(
      "Examples:\n"
      "  vmferry convert web1.raw web1-sparse.raw\n"
      "  vmferry convert -f qcow2 --verify web1.qcow2 rbd:vms/web1\n"
      "  vmferry convert rbd:vms/web1@monday /backup/web1.raw\n"
      "\nSee vmferry-convert(1).");
  return [job](Session& session) { return convert(session, *job); };
}

}  // namespace vmferry::cli
