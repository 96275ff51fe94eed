// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/mover.h"

#include <fmt/format.h>
#include <unistd.h>

#include "lib/core/printable.h"
#include "lib/core/utc_time.h"
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

/// The record of a move is there before its journal goes. That it cannot be written undoes nothing.
void keep_record(const std::string& domain, const MigrateReport& report, const std::string& path) {
  try {
    keep_text_file(path, record_json(domain, report, utc_now()));
  } catch (const Error& error) {
    say_notice(std::string(error.what()) + "; the move is complete, but has no record");
  }
}

const char* end_in_words(MigrateReport::End end) {
  switch (end) {
    case MigrateReport::End::kMoved:
      return "the move is complete";
    case MigrateReport::End::kUndone:
      return "the run is undone";
    case MigrateReport::End::kSynced:
      return "the sync is complete";
    case MigrateReport::End::kStopped:
      return "the warm move is ended";
    case MigrateReport::End::kLeft:
      break;
  }
  return "the run is ended, and all its files are left";
}

/// What only looks leaves no log behind. Null: nobody wants to know.
std::shared_ptr<CallTrace> trace_of(const MigrateOptions& options, const std::string& action) {
  const bool only_looks = options.dry_run || options.check;
  if (only_looks && !options.trace) {
    return nullptr;
  }
  const std::string path =
      only_looks ? "" : call_log_path(options.request.domain, options.state_dir);
  const std::string first =
      fmt::format("vmferry {}: {}", kVersion, options.recover ? "recover" : action);
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

/// What can be done while that host is gone.
Error with_ways_alone(const Error& error, const MigrateOptions& options,
                      const MigrateContext& context) {
  ErrorParts parts = error.parts();
  MigrateContext alone = context;
  alone.target = context.source;
  try {
    const std::string ways = without_target(options.request.domain, alone);
    parts.hint += (parts.hint.empty() || ways.empty() ? "" : "; ") + ways;
  } catch (const Error&) {
    return error;
  }
  return Error(parts);
}

/// The host to move to. To stay here, or to undo, it need not answer.
std::shared_ptr<Host> target_host_of(const MigrateOptions& options, const MigrateContext& context,
                                     const std::shared_ptr<CallTrace>& trace) {
  try {
    return connect(options.request.to, "there", trace);
  } catch (const Error& error) {
    if (options.recover && !options.stay && !options.undo) {
      throw with_ways_alone(error, options, context);
    }
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

/// Said, and written down. Any thread may call it.
std::function<void(const std::string&)> notice_into(const std::shared_ptr<CallTrace>& trace) {
  return [trace](const std::string& text) {
    if (trace) {
      trace->note(text);
    }
    say_notice(text);
  };
}

std::unique_ptr<MigrationStorage> storage_of(Session& session, const MigrateOptions& options,
                                             const std::shared_ptr<CallTrace>& trace,
                                             Observer& observer) {
  std::optional<CephOptions> old_ceph = options.request.old_cluster;
  if (old_ceph) {
    old_ceph->timeout = kClusterPatience;
  }
  return host_and_cluster({.jobs = options.run.jobs,
                           .ceph = options.ceph,
                           .old_ceph = std::move(old_ceph),
                           .layout = options.layout,
                           .monitors = options.request.monitors,
                           .stop = session.stop(),
                           .before_making = [&session] { session.making_something(); },
                           .notice = notice_into(trace),
                           .observer = &observer});
}

/// As the first use of them wants them.
MigrateOptions& prepared(MigrateOptions& options) {
  options.ceph.timeout = kClusterPatience;
  if (options.trace && options.run.progress == ProgressStyle::kAuto) {
    options.run.progress = ProgressStyle::kNone;  // lines and a bar do not go together
  }
  return options;
}

}  // namespace

Mover::Mover(Session& session, MigrateOptions& options, const std::string& action)
    : session_(session),
      action_(action),
      options_(prepared(options)),
      trace_(trace_of(options, action)),
      observer_(session, options.run.progress_style(), options.run.quiet, trace_),
      storage_(storage_of(session, options, trace_, observer_)),
      context_({.source = connect(options.request.from, "here", trace_),
                .target = nullptr,
                .storage = storage_.get(),
                .observer = &observer_,
                .state_dir = options.state_dir,
                .stop = session.stop(),
                .keep_record = [&options](const MigrateReport& report, const std::string& path) {
                  keep_record(options.request.domain, report, path);
                }}) {
  if (!options.rate_file.empty()) {
    context_.rate = rate_from_file(options.rate_file, notice_into(trace_));
  }
  context_.target =
      options.request.to_other_host() ? target_host_of(options, context_, trace_) : context_.source;
}

std::optional<int> Mover::only_planned(const Plan& plan) const {
  if (!options_.dry_run && !options_.check) {
    return std::nullopt;
  }
  print(options_.run.json ? plan_json(plan) + "\n"
        : options_.check  ? checks_text(plan, options_.run.quiet)
                          : plan_text(plan));
  return plan.possible() ? 0 : 1;
}

void Mover::require_possible(const Plan& plan) const {
  if (plan.possible()) {
    if (!options_.run.quiet) {
      say(checks_text(plan, true));
    }
    return;
  }
  say(checks_text(plan, true));
  throw Error({.kind = ErrorKind::kConflict,
               .object = "domain " + plan.request.domain,
               .action = action_,
               .cause = "a check failed; nothing was changed"});
}

void Mover::run(const std::function<void()>& work) {
  session_.making_something();
  with_log(options_, work);
}

void Mover::tell_end(const MigrateReport& report) const {
  const std::string& domain = options_.request.domain;
  const std::string end = end_in_words(report.end);
  std::string text;
  if (options_.run.json) {
    text = report_json(domain, report) + "\n";
  } else if (!options_.run.quiet) {
    text = report.end == MigrateReport::End::kMoved ? report_text(domain, report)
                                                    : printable(domain) + ": " + end + "\n";
  }
  print_report(text, end);
}

int Mover::carry_out(const Plan& plan) {
  if (const auto status = only_planned(plan)) {
    return *status;
  }
  require_possible(plan);
  run([&] { tell_end(execute_migration(plan, context_)); });
  return 0;
}

void find_state_dir(MigrateOptions& options) {
  if (options.state_dir.empty()) {
    options.state_dir = default_state_dir();
  }
}

void take_recorded_cluster(MigrateOptions& options) {
  take_recorded(options.ceph.conf, options.request.ceph_conf);
  take_recorded(options.ceph.id, options.request.user);
  take_recorded(options.ceph.keyring, options.request.keyring);
  take_recorded(options.ceph.cluster, options.request.cluster);
  options.layout = options.request.layout;
}

int recover_run(Session& session, MigrateOptions& options) {
  complete(options);
  options.request =
      changed(recorded_request(options.request.domain, options.state_dir), options.request);
  take_recorded_cluster(options);
  Mover mover(session, options, "recover");
  const Recovery recovery = options.undo     ? Recovery::kUndo
                            : options.finish ? Recovery::kFinish
                            : options.stay   ? Recovery::kStay
                                             : Recovery::kAuto;
  mover.run([&] { mover.tell_end(recover_migration(options.request, recovery, mover.context())); });
  return 0;
}

}  // namespace vmferry::cli
