// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/migrate.h"

#include <fmt/format.h>
#include <unistd.h>

#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/migrate_options.h"
#include "tools/vmferry/migrate_report.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"
#include "vmferry/rate_file.h"
#include "vmferry/version.h"

namespace vmferry::cli {
namespace {

/// A cluster that does not answer within this is not one to move a running guest to (seconds).
constexpr unsigned kClusterPatience = 10;

int print_plan(const MigrateOptions& options, const Plan& plan) {
  print(options.run.json ? plan_json(plan) + "\n"
        : options.check  ? checks_text(plan, options.run.quiet)
                         : plan_text(plan));
  return plan.possible() ? 0 : 1;
}

[[noreturn]] void refuse(const Plan& plan) {
  say(checks_text(plan, true));
  throw Error({.kind = ErrorKind::kConflict,
               .object = "domain " + plan.request.domain,
               .action = "migrate",
               .cause = "a check failed; nothing was changed"});
}

/// The record of a move is there before its journal goes. That it cannot be written undoes nothing.
void keep_record(const std::string& domain, const MigrateReport& report, const std::string& path) {
  try {
    keep_text_file(path, record_json(domain, report, utc_now()));
  } catch (const Error& error) {
    say_notice(std::string(error.what()) + "; the move is complete, but has no record");
  }
}

void tell_end(const MigrateOptions& options, const MigrateReport& report) {
  const std::string& domain = options.request.domain;
  const std::string end = report.end == MigrateReport::End::kMoved    ? "the move is complete"
                          : report.end == MigrateReport::End::kUndone ? "the move is undone"
                                                                      : "the run is ended, and all "
                                                                        "its files are left";
  std::string text;
  if (options.run.json) {
    text = report_json(domain, report) + "\n";
  } else if (!options.run.quiet) {
    text = report.end == MigrateReport::End::kMoved ? report_text(domain, report)
                                                    : printable(domain) + ": " + end + "\n";
  }
  print_report(text, end);
}

/// What only looks leaves no log behind. Null: nobody wants to know.
std::shared_ptr<CallTrace> trace_of(const MigrateOptions& options) {
  const bool only_looks = options.dry_run || options.check;
  if (only_looks && !options.trace) {
    return nullptr;
  }
  const std::string path =
      only_looks ? "" : call_log_path(options.request.domain, options.state_dir);
  const std::string first =
      fmt::format("vmferry {}: {}", kVersion, options.recover ? "recover" : "migrate");
  return log_calls(path, first,
                   options.trace ? say_line : std::function<void(const std::string&)>());
}

std::shared_ptr<Host> connect(const std::string& uri, const std::string& name,
                              const std::shared_ptr<CallTrace>& trace) {
  const std::shared_ptr<Host> host = connect_host(uri);
  return trace ? trace_calls(host, name, trace) : host;
}

/// Says where to read what libvirt was asked, if `run` fails. One that fails at once has no log.
void with_log(const MigrateOptions& options, const std::function<void()>& run) {
  const std::string path = call_log_path(options.request.domain, options.state_dir);
  const std::string line = "log: " + printable(path);
  try {
    run();
  } catch (...) {
    if (!options.run.quiet && ::access(path.c_str(), F_OK) == 0) {
      say_line(line);
    }
    throw;
  }
}

void recover(const MigrateOptions& options, const MigrateContext& context) {
  const Recovery recovery = options.undo     ? Recovery::kUndo
                            : options.finish ? Recovery::kFinish
                            : options.stay   ? Recovery::kStay
                                             : Recovery::kAuto;
  tell_end(options, recover_migration(options.request, recovery, context));
}

/// The host to move to. To stay here, or to undo, it need not answer.
std::shared_ptr<Host> target_of(const MigrateOptions& options, const MigrateContext& context,
                                const std::shared_ptr<CallTrace>& trace) {
  try {
    return connect(options.request.to, "there", trace);
  } catch (const Error& error) {
    if (!options.stay && !options.undo) {
      throw;
    }
    context.observer->warning(std::string(error.what()) + "; going on without that host");
    return context.source;
  }
}

/// What a recovery was not told is as it was for the run.
void take_recorded(std::string& option, const std::string& recorded) {
  if (option.empty()) {
    option = recorded;
  }
}

int migrate(Session& session, MigrateOptions& options) {
  complete(options);
  if (options.recover) {
    options.request =
        changed(recorded_request(options.request.domain, options.state_dir), options.request);
    take_recorded(options.ceph.conf, options.request.ceph_conf);
    take_recorded(options.ceph.id, options.request.user);
    take_recorded(options.ceph.keyring, options.request.keyring);
    take_recorded(options.ceph.cluster, options.request.cluster);
    options.layout = options.request.layout;
  }
  options.ceph.timeout = kClusterPatience;
  MigrateRequest& request = options.request;
  const std::shared_ptr<CallTrace> trace = trace_of(options);
  if (options.trace && options.run.progress == ProgressStyle::kAuto) {
    options.run.progress = ProgressStyle::kNone;  // lines and a bar do not go together
  }
  ConsoleObserver observer(session, options.run.progress_style(), options.run.quiet, trace);
  const std::unique_ptr<MigrationStorage> storage =
      host_and_cluster({.jobs = options.run.jobs,
                        .ceph = options.ceph,
                        .layout = options.layout,
                        .monitors = request.monitors,
                        .stop = session.stop(),
                        .before_making = [&session] { session.making_something(); },
                        .notice = say_notice,
                        .observer = &observer});
  MigrateContext context{.source = connect(request.from, "here", trace),
                         .target = nullptr,
                         .storage = storage.get(),
                         .observer = &observer,
                         .state_dir = options.state_dir,
                         .stop = session.stop(),
                         .keep_record = [&](const MigrateReport& report, const std::string& path) {
                           keep_record(options.request.domain, report, path);
                         }};
  if (!options.rate_file.empty()) {
    context.rate = rate_from_file(options.rate_file, say_notice);
  }
  context.target = request.to_other_host() ? target_of(options, context, trace) : context.source;
  if (options.recover) {
    session.making_something();
    with_log(options, [&] { recover(options, context); });
    return 0;
  }
  const Plan plan = plan_migration(request, context);
  if (options.dry_run || options.check) {
    return print_plan(options, plan);
  }
  if (!plan.possible()) {
    refuse(plan);
  }
  if (!options.run.quiet) {
    say(checks_text(plan, true));
  }
  session.making_something();
  with_log(options, [&] { tell_end(options, execute_migration(plan, context)); });
  return 0;
}

}  // namespace

std::function<int(Session&)> add_migrate(CLI::App& app) {
  auto options = std::make_shared<MigrateOptions>();
  add_migrate_options(app, *options);
  app.footer(
      "Examples:\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret --dry-run\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret\n"
      "  vmferry migrate web1 --pool vms --id libvirt --to qemu+ssh://host2/system\n"
      "  vmferry migrate --recover web1\n"
      "\nSee vmferry-migrate(1).");
  return [options, &app](Session& session) {
    require_useful(app, *options);
    return migrate(session, *options);
  };
}

}  // namespace vmferry::cli
