// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "lib/core/counted.h"
#include "lib/core/format_bytes.h"
#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/chain_copy.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/history.h"
#include "tools/vmferry/image_copy.h"
#include "tools/vmferry/trim_options.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"
#include "vmferry/version.h"

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

std::string points_in_words(const std::vector<KeptPoint>& points) {
  return points.empty()
             ? ""
             : counted(points.size(), "snapshot") + " beside: " + names_of(points) + "\n";
}

/// Data that needed no writing.
std::string already_there(const TransferResult& result) {
  return (result.kept_bytes == 0
              ? ""
              : ", beside " + about_bytes(result.kept_bytes) + " that were there") +
         (result.base_bytes == 0 ? ""
                                 : ", beside " + about_bytes(result.base_bytes) + " of its base");
}

using Json = nlohmann::ordered_json;

struct ConvertOptions {
  std::string source;
  std::string target;
  std::string base;  ///< a snapshot; empty: none
  ImageCopy copy;
  bool digest = false;
  std::string report;  ///< a file; empty: none
  ChainCopy chain;
  const CLI::Option* format = nullptr;  ///< of the target
};

Json facts_of(const std::string& target, const std::optional<Location>& base,
              const CopyOutcome& outcome, double seconds) {
  const TransferResult& result = outcome.copied;
  Json facts = {{"target", target},
                {"virtual_bytes", result.virtual_bytes},
                {"read_bytes", result.read_bytes},
                {"written_bytes", result.written_bytes},
                {"shared_bytes", result.shared_bytes},
                {"zero_skipped_bytes", result.zero_bytes},
                {"seconds", seconds},
                {"verified", result.verified != Verify::kNo}};
  if (base) {
    facts["base"] = base->display();
    facts["base_bytes"] = result.base_bytes;
  }
  if (result.verified != Verify::kNo) {
    facts["verified_by"] = result.verified == Verify::kYes ? "checksums" : "reading";
  }
  return facts;
}

std::string name_of_target(const Location& target) {
  return target.is_standard_output() ? "standard output" : printable(target.display());
}

std::string output_of(const ConvertOptions& options, const std::string& target,
                      const CopyOutcome& outcome, double seconds) {
  const TransferResult& result = outcome.copied;
  const ImageCopy& job = options.copy;
  if (job.run.json) {
    Json report = facts_of(target, job.to.base, outcome, seconds);
    if (job.to.resume) {
      report["kept_bytes"] = result.kept_bytes;
    }
    if (options.digest) {
      report["digest"] = outcome.digest;
    }
    if (!job.snapshots.empty()) {
      report["snapshots"] = as_json(outcome.points);
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
         fmt::format("{}: {} of data, {} of zeros{}, in {:.1f} s{}{}\n",
                     name_of_target(*job.target), about_bytes(result.written_bytes),
                     about_bytes(result.zero_bytes),
                     job.target->is_standard_output() ? "" : " skipped", seconds,
                     already_there(result), verified_in_words(result.verified)) +
         points_in_words(outcome.points) +
         (options.digest ? fmt::format("digest: {}\n", outcome.digest) : "");
}

/// Before hours of copying.
void check_report(const std::string& path) {
  struct stat status = {};
  if (::lstat(path.c_str(), &status) == 0) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = path,
                 .action = "write the report",
                 .cause = "the file exists",
                 .hint = "name a new file"});
  }
  const std::string parent = std::filesystem::path(path).parent_path().string();
  if (::access(parent.empty() ? "." : parent.c_str(), W_OK) != 0) {
    throw errno_error(errno, path, "write the report");
  }
}

/// The record of a copy, for audits.
void write_report(Session& session, const ConvertOptions& options, const std::string& began,
                  const Json& facts, const CopyOutcome& outcome) {
  Json record = {{"vmferry", kVersion},
                 {"began", began},
                 {"ended", utc_now()},
                 {"source", options.copy.source->display()},
                 {"source_stamp", outcome.source_stamp}};
  record.update(facts);
  if (!options.copy.snapshots.empty()) {
    record["snapshots"] = as_json(outcome.points);
  }
  record["kept_bytes"] = outcome.copied.kept_bytes;
  record["digest"] = outcome.digest;
  try {
    write_text_file(session, options.report, json_text(record, 2), false);
  } catch (const Error& error) {
    ErrorParts parts = error.parts();
    parts.cause += " (the target is complete)";
    throw Error(std::move(parts));
  }
}

void refuse_useless_directory(const ImageCopy& job) {
  if (job.trimming.tmp_dir.empty() || job.trim || job.from.checksum) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = "--tmp",
               .action = {},
               .cause = "--tmp requires --trim or --checksum",
               .hint = "leave it out: nothing goes there"});
}

void add_chain_options(CLI::App& app, ChainCopy& chain) {
  CLI::Option* directory =
      app.add_option(
             "--chain", chain.directory,
             "In place of TARGET: make one image of each snapshot in DIR, each over the one "
             "before, and the disk as it is now last")
          ->type_name("DIR");
  app.add_option("--since", chain.since,
                 "Add to that chain what has changed since SNAPSHOT, which is the newest in it")
      ->type_name("SNAPSHOT")
      ->check(refuse_empty_name)
      ->needs(directory);
}

void add_checksum_option(CLI::App& app, ImageCopy& job) {
  app.add_option_function<std::string>(
         "--checksum",
         [&job](const std::string& text) {
           try {
             job.from.checksum = parse_checksum(text);
           } catch (const Error& error) {
             throw CLI::ValidationError("--checksum",
                                        fmt::format("{} ({})", error.what(), error.hint()));
           }
         },
         "Refuse SOURCE unless the file as a whole has this checksum: sha256:HEX or sha512:HEX. "
         "What comes from a web server is kept in --tmp meanwhile")
      ->type_name("SUM")
      ->excludes("--source-in-use");
  app.get_option("--tmp")->remove_needs(app.get_option("--trim"));
}

void refuse_targets(const ConvertOptions& options) {
  if (options.target.empty() != options.chain.directory.empty()) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = options.source,
               .action = {},
               .cause = options.target.empty() ? "there is no target"
                                               : "--chain and a target are both given",
               .hint = "name a target, or a directory with --chain: see 'vmferry convert --help'"});
}

void refuse_raw_chain(const ConvertOptions& options) {
  if (options.format->count() == 0 || options.copy.layout.format.is_container()) {
    return;
  }
  throw Error(
      {.kind = ErrorKind::kUsage,
       .object = "--target-format",
       .action = {},
       .cause = "the images of --chain are each over another one, which raw images cannot be",
       .hint = "name qcow2, or leave it out"});
}

/// Options about the cluster of a target that is in none.
void refuse_useless_cluster(const ImageCopy& job) {
  const bool is_given = !job.to_ceph_conf.empty() || !job.to_id.empty();
  if (!is_given || (job.target && job.target->display().starts_with("rbd:"))) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = job.to_ceph_conf.empty() ? "--to-id" : "--to-ceph-conf",
               .action = {},
               .cause = "the target is not on Ceph",
               .hint = "leave it out; --ceph-conf and --id are about the source"});
}

std::string chain_in_words(const std::vector<LinkOutcome>& made) {
  std::string text;
  for (const auto& [path, point, copied] : made) {
    text += fmt::format("{}: {} of data{}\n", printable(path), about_bytes(copied.written_bytes),
                        verified_in_words(copied.verified));
  }
  return text;
}

std::string chain_as_json(const std::vector<LinkOutcome>& made) {
  Json links = Json::array();
  for (const auto& [path, point, copied] : made) {
    Json link = {{"target", path},
                 {"virtual_bytes", copied.virtual_bytes},
                 {"read_bytes", copied.read_bytes},
                 {"written_bytes", copied.written_bytes},
                 {"verified", copied.verified != Verify::kNo}};
    if (point) {
      link["snapshot"] = {{"name", point->name}, {"id", point->id}};
    }
    links.push_back(std::move(link));
  }
  return json_text({{"links", links}}) + "\n";
}

int make_chain(Session& session, ImageCopy& job, const ChainCopy& chain) {
  std::vector<LinkOutcome> made;
  try {
    copy_chain(session, job, chain, made);
  } catch (const Error& error) {
    if (made.empty()) {
      throw;
    }
    ErrorParts parts = error.parts();
    parts.cause += fmt::format(" (complete so far: {})", made.back().path);
    throw Error(std::move(parts));
  }
  if (job.run.json || !job.run.quiet) {
    tell_result(job, job.run.json ? chain_as_json(made) : chain_in_words(made),
                "the images are complete");
  }
  return 0;
}

int convert(Session& session, ConvertOptions& options) {
  ImageCopy& job = options.copy;
  refuse_useless_directory(job);
  refuse_targets(options);
  job.source = parse_location(options.source);
  if (!options.base.empty()) {
    job.to.base = parse_location(options.base);
  }
  job.digest = options.digest || !options.report.empty();
  if (!options.chain.directory.empty()) {
    refuse_raw_chain(options);
    refuse_useless_cluster(job);
    return make_chain(session, job, options.chain);
  }
  job.target = parse_location(options.target);
  refuse_useless_cluster(job);
  if (!options.report.empty()) {
    check_report(options.report);
  }
  const std::string began = utc_now();
  const auto start = std::chrono::steady_clock::now();
  const CopyOutcome outcome = copy_image(session, job, "convert");
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  const std::string& target = job.target->display();
  if (!job.run.quiet) {
    for (const std::string& line : losses(outcome.points)) {
      say_notice(line);
    }
  }
  if (!options.report.empty()) {
    write_report(session, options, began, facts_of(target, job.to.base, outcome, elapsed.count()),
                 outcome);
  }
  tell_result(job, output_of(options, target, outcome, elapsed.count()), "the target is complete");
  return 0;
}

}  // namespace

std::function<int(Session&)> add_convert(CLI::App& app) {
  auto options = std::make_shared<ConvertOptions>();
  app.add_option("SOURCE", options->source,
                 "A raw or qcow2 file, a compressed raw file, a block device, nbd://..., "
                 "rbd:POOL/IMAGE[@SNAPSHOT], https://..., or - for standard input")
      ->required();
  app.add_option(
      "TARGET", options->target,
      "A new file, a block device or nbd://... (with --force), rbd:POOL/IMAGE, - for standard "
      "output, or null: to measure");
  add_copy_options(app, options->copy);
  options->format = app.get_option("--target-format");
  add_checksum_option(app, options->copy);
  app.add_option("--snapshots", options->copy.snapshots,
                 "Copy the snapshots of SOURCE, too: all, or those with these names")
      ->type_name("all|NAME,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_flag("--chain-as-snapshots", options->copy.chain_as_snapshots,
               "Each backing image of SOURCE becomes a snapshot, the lowest one first")
      ->excludes("--snapshots");
  add_chain_options(app, options->chain);
  app.add_option("--to-ceph-conf", options->copy.to_ceph_conf,
                 "Configuration file of the target's cluster, where that is another one")
      ->type_name("FILE");
  app.add_option("--to-id", options->copy.to_id, "Ceph user for the target, without 'client.'")
      ->type_name("USER");
  app.add_option(
         "--base", options->base,
         "Make the volume a clone of this snapshot, rbd:POOL/IMAGE@SNAPSHOT, and write only "
         "what differs from it")
      ->type_name("SNAPSHOT")
      ->excludes("--snapshots")
      ->excludes("--chain-as-snapshots")
      ->group("New RBD volume");
  app.add_flag("--digest", options->digest,
               "Print a digest of what the guest sees, the same for every copy of this disk");
  app.add_option("--report", options->report,
                 "Write what was copied, with digest, sizes and times, into a new file (JSON)")
      ->type_name("FILE");
  app.footer(
      "Examples:\n"
      "  vmferry convert web1.raw web1-sparse.raw\n"
      "  vmferry convert -f qcow2 --verify web1.qcow2 rbd:vms/web1\n"
      "  vmferry convert --base rbd:vms/golden@v1 -f qcow2 web1.qcow2 rbd:vms/web1\n"
      "  vmferry convert rbd:vms/web1@monday /backup/web1.raw\n"
      "  vmferry convert --chain /backup/web1 --since monday rbd:vms/web1@tuesday\n"
      "  curl -f URL/web1.raw.xz | vmferry convert - rbd:vms/web1\n"
      "\nSee vmferry-convert(1).");
  return [options](Session& session) { return convert(session, *options); };
}

}  // namespace vmferry::cli
