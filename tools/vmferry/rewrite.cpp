// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/vmferry/command.h"
#include "tools/vmferry/definition_io.h"
#include "tools/vmferry/rewrite_options.h"
#include "tools/vmferry/schema_check.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/domain.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

struct RewriteOptions {
  std::string input = "-";
  std::string output;
  MoveOptions moves;
  bool force = false;
  bool validate = false;
  bool diff = false;
  bool json = false;
  bool quiet = false;
};

/// What became of a disk.
struct DiskOutcome {
  const DomainDisk* disk = nullptr;
  const DiskMove* move = nullptr;  ///< null: nobody asked for one
  std::string stays;               ///< why it is where it was; empty: it is not
};

std::vector<DiskOutcome> outcomes_of(const Domain& domain, const std::vector<DiskMove>& moves,
                                     const Domain& result) {
  std::vector<DiskOutcome> outcomes;
  for (const DomainDisk& disk : domain.disks) {
    DiskOutcome outcome{.disk = &disk, .stays = disk.can_move() ? "it was not named" : disk.stays};
    for (const DiskMove& move : moves) {
      if (move.disk == disk.target) {
        outcome.move = &move;
      }
    }
    const bool there = result.find_disk(disk.target)->image.display() == disk.image.display();
    if (outcome.move) {
      outcome.stays = there ? "it is there already" : "";
    }
    outcomes.push_back(std::move(outcome));
  }
  return outcomes;
}

/// Who named disks knows that the others stay.
void tell(const Domain& domain, const std::vector<DiskOutcome>& outcomes, bool named) {
  bool changed = false;
  for (const DiskOutcome& outcome : outcomes) {
    changed = changed || outcome.stays.empty();
    if (outcome.stays.empty() || (named && !outcome.move)) {
      continue;
    }
    say_line(fmt::format("vmferry: {}: {} stays: {}", domain.object, outcome.disk->target,
                         outcome.stays));
  }
  if (!changed) {
    say_line(fmt::format("vmferry: {}: nothing changes", domain.object));
  }
}

std::string as_json(const Domain& domain, const std::vector<DiskOutcome>& outcomes,
                    const std::string& output) {
  nlohmann::ordered_json report = {{"definition", domain.object}, {"domain", domain.name}};
  report["changed"] = nlohmann::ordered_json::array();
  report["left"] = nlohmann::ordered_json::array();
  for (const DiskOutcome& outcome : outcomes) {
    const DomainDisk& disk = *outcome.disk;
    if (outcome.stays.empty()) {
      report["changed"].push_back({{"disk", disk.target},
                                   {"from", disk.image.display()},
                                   {"to", display_name(outcome.move->to)}});
    } else {
      report["left"].push_back(
          {{"disk", disk.target}, {"on", disk.image.display()}, {"reason", outcome.stays}});
    }
  }
  if (!output.empty()) {
    report["output"] = output;
  }
  return json_text(report) + "\n";
}

void require_valid(const Domain& domain, const std::string& text) {
  const std::string complaints = schema_complaints(text);
  if (complaints.empty()) {
    return;
  }
  const bool before = !schema_complaints(domain.text).empty();
  throw Error({.kind = ErrorKind::kCorrupt,
               .object = domain.object,
               .action = "check",
               .cause = "the rewritten definition does not follow libvirt's schema: " + complaints,
               .hint = before ? "the definition as it was does not follow it, either"
                              : "this should not happen; please report it"});
}

void check_output_options(const RewriteOptions& options) {
  if (!options.diff || !options.json) {
    return;
  }
  throw Error({.kind = ErrorKind::kUsage,
               .object = "--diff and --json",
               .action = {},
               .cause = "both print on standard output; choose one"});
}

int rewrite(Session& session, const RewriteOptions& options) {
  check_output_options(options);
  const bool from_stdin = options.input == "-";
  const Domain domain = parse_domain(read_text_file(options.input, kMaxDefinitionBytes),
                                     from_stdin ? "standard input" : options.input);
  if (domain.disks.empty()) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = domain.object,
                 .action = {},
                 .cause = "this domain has no disks"});
  }
  const std::vector<DiskMove> moves = make_moves(domain, options.moves);
  const std::string text = rewrite_disks(domain, moves);
  if (options.validate) {
    require_valid(domain, text);
  }
  const std::vector<DiskOutcome> outcomes =
      outcomes_of(domain, moves, parse_domain(text, domain.object));
  if (!options.output.empty()) {
    write_text_file(session, options.output, text, options.force);
  }
  if (!options.quiet) {
    tell(domain, outcomes, names_disks(options.moves));
  }
  if (options.diff) {
    print_diff(domain.object, domain.text, text);
  } else if (options.json && !options.output.empty()) {
    print_report(as_json(domain, outcomes, options.output), "the new definition is written");
  } else if (options.json) {
    print(as_json(domain, outcomes, options.output));
  } else if (options.output.empty()) {
    print(text);
  }
  return 0;
}

}  // namespace

std::function<int(Session&)> add_rewrite(CLI::App& app) {
  auto options = std::make_shared<RewriteOptions>();
  app.add_option("DOMAIN.xml", options->input,
                 "The definition of a domain, as 'virsh dumpxml' prints it (default: standard "
                 "input)")
      ->type_name("");
  CLI::Option* output =
      app.add_option("-o,--output", options->output,
                     "Write the new definition to this file (default: standard output)")
          ->type_name("FILE");
  app.add_flag("--force", options->force, "Replace that file if it exists")->needs(output);
  add_move_options(app, options->moves);
  app.add_flag("--validate", options->validate,
               "Check the new definition with libvirt's schema first");
  app.add_flag("--diff", options->diff,
               "Print what changes on standard output, instead of the definition");
  app.add_flag("--json", options->json,
               "Print which disks change on standard output as one JSON object, instead of the "
               "definition");
  app.add_flag("-q,--quiet", options->quiet, "Say nothing but errors");
  app.footer(
      "Examples:\n"
      "  vmferry rewrite web1.xml --pool vms --id libvirt --secret-usage ceph-libvirt --diff\n"
      "  virsh dumpxml --inactive web1 | vmferry rewrite --disk vda=rbd:vms/web1 |\n"
      "    virsh define /dev/stdin\n"
      "\nIt copies no data; see vmferry-convert(1). See vmferry-rewrite(1).");
  return [options](Session& session) { return rewrite(session, *options); };
}

}  // namespace vmferry::cli
