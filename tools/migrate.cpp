// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/migrate.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "lib/core/printable.h"
#include "tools/command.h"
#include "tools/migrate_report.h"
#include "tools/migrate_storage.h"
#include "tools/options.h"
#include "tools/output.h"
#include "tools/say.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

/// A cluster that does not answer within this is not one to move a running guest to (seconds).
constexpr unsigned kClusterPatience = 10;

struct Options {
  MigrateRequest request;
  std::vector<std::string> disks;
  std::vector<std::string> monitors;
  CephOptions ceph;
  RbdLayout layout;
  RunOptions run;
  std::optional<uint64_t> bandwidth;
  unsigned timeout = 0;
  unsigned shutdown_timeout = 120;
  std::string state_dir;
  bool dry_run = false;
  bool check = false;
  bool recover = false;
  bool undo = false;
  bool finish = false;
  bool stay = false;
};

[[noreturn]] void usage_error(const std::string& what, const std::string& hint) {
  throw Error(
      {.kind = ErrorKind::kUsage, .object = "migrate", .action = {}, .cause = what, .hint = hint});
}

/// Names of files hold wherever the run, or a later recovery of it, is started.
void make_absolute(std::string& path) {
  if (path.empty()) return;
  std::filesystem::path absolute = std::filesystem::absolute(path);
  // What is above a link is not what stands before it.
  const bool plain = std::find(absolute.begin(), absolute.end(), "..") == absolute.end();
  path = (plain ? absolute.lexically_normal() : absolute).string();
}

void make_paths_absolute(Options& options) {
  MigrateRequest& request = options.request;
  for (std::string* path : {&request.to_dir, &request.overlay_dir, &options.state_dir,
                            &options.ceph.conf, &options.ceph.keyring})
    make_absolute(*path);
  for (std::string& prefix : request.allow_files) make_absolute(prefix);
}

/// "vda=rbd:pool/image".
void take_disk(MigrateRequest& request, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string wanted = "--disk vda=rbd:POOL/IMAGE";
  if (equals == std::string::npos || equals == 0) {
    if (request.to_dir.empty()) usage_error("no place is named in --disk " + text, wanted);
    request.disks[text] = {};
    return;
  }
  if (!request.to_dir.empty())
    usage_error("a volume is named in --disk " + text, "with --to-dir: --disk vda, and no more");
  const Location location = parse_location(text.substr(equals + 1));
  const auto* rbd = std::get_if<RbdLocation>(&location);
  if (!rbd || !rbd->snapshot.empty()) usage_error("no volume is named in --disk " + text, wanted);
  if (!rbd->name_space.empty())
    usage_error("libvirt and QEMU open no RADOS namespace: " + text, wanted);
  if (!rbd->options.empty())
    usage_error("options of the cluster go into --ceph-conf, --id and --monitor, not into " + text,
                wanted);
  if (!request.disks.emplace(text.substr(0, equals), VolumeName{rbd->pool, rbd->image}).second)
    usage_error("--disk names " + text.substr(0, equals) + " twice", wanted);
}

/// What only a guest that leaves its host has a use for. A recovery knows where that one goes.
void refuse_useless(const CLI::App& app, const Options& options) {
  if (options.recover) return;
  for (const char* name : {"--parallel", "--auto-converge", "--max-downtime", "--listen-address",
                           "--migration-uri", "--tls", "--keep-source-definition"})
    if (app.get_option(name)->count() > 0 && options.request.to.empty())
      usage_error(std::string(name) + " is for a move to another host",
                  "name that host with --to, or leave it out");
  if (!options.request.to_dir.empty() && options.layout != RbdLayout())
    usage_error("objects, stripes, pools and features mean nothing to the files of --to-dir",
                "leave those options out");
}

/// A run that has begun goes on as it was asked for, but for what is named here.
void refuse_settled(const CLI::App& app) {
  static const std::set<std::string> kMayBeGiven = {"DOMAIN",
                                                    "--recover",
                                                    "--undo",
                                                    "--finish",
                                                    "--stay",
                                                    "--state-dir",
                                                    "--connect",
                                                    "--to",
                                                    "--ceph-conf",
                                                    "--id",
                                                    "--keyring",
                                                    "--cluster",
                                                    "--rate-limit",
                                                    "--timeout",
                                                    "--overlay-max",
                                                    "--max-downtime",
                                                    "--parallel",
                                                    "--auto-converge",
                                                    "--tls",
                                                    "--listen-address",
                                                    "--migration-uri",
                                                    "--force-off",
                                                    "--shutdown-timeout",
                                                    "--jobs",
                                                    "--quiet",
                                                    "--json",
                                                    "--progress"};
  for (const CLI::Option* option : app.get_options())
    if (option->count() > 0 && !kMayBeGiven.contains(option->get_name()))
      usage_error(option->get_name() + " cannot be given to --recover",
                  "the run has begun otherwise; see --recover in vmferry-migrate(1)");
}

void complete(Options& options) {
  MigrateRequest& request = options.request;
  for (const std::string& disk : options.disks) take_disk(request, disk);
  for (const std::string& monitor : options.monitors)
    request.monitors.push_back(parse_monitor(monitor));
  request.bandwidth = options.bandwidth.value_or(0);
  request.timeout = std::chrono::seconds(options.timeout);
  request.shutdown_timeout = std::chrono::seconds(options.shutdown_timeout);
  if (options.recover) return;
  if (request.to_dir.empty() && request.pool.empty() && request.disks.empty())
    usage_error("no volume is named", "--pool POOL, or --disk vda=rbd:POOL/IMAGE");
  if (!request.to_dir.empty() && !request.pool.empty())
    usage_error("--pool and --to-dir do not go together", "one way at a time");
  if (!request.secret.uuid.empty() && !request.secret.usage.empty())
    usage_error("--secret-uuid and --secret-usage name one secret twice", "leave one out");
  if (const char* conf = std::getenv("CEPH_CONF"); options.ceph.conf.empty() && conf)
    options.ceph.conf = conf;
  make_absolute(options.ceph.conf);
  request.ceph_conf = options.ceph.conf;
  request.keyring = options.ceph.keyring;
  request.cluster = options.ceph.cluster;
  request.layout = options.layout;
  request.user = options.ceph.id;
  // The name that Ceph's own manual gives it.
  if (!request.user.empty() && request.secret.uuid.empty() && request.secret.usage.empty())
    request.secret.usage = "client." + request.user + " secret";
  if (request.user.empty() &&
      (request.define_secret || !request.secret.usage.empty() || !request.secret.uuid.empty()))
    usage_error("a secret without a user", "--id USER names the Ceph user of the guest");
}

int print_plan(const Options& options, const Plan& plan) {
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

void tell_moved(const Options& options, const Plan& plan, const MigrateReport& report) {
  const std::string text = options.run.json    ? report_json(plan, report) + "\n"
                           : options.run.quiet ? ""
                                               : report_text(plan, report);
  print_report(text, "the move is complete");
}

int recover(const Options& options, const MigrateContext& context) {
  const Recovery recovery = options.undo     ? Recovery::kUndo
                            : options.finish ? Recovery::kFinish
                            : options.stay   ? Recovery::kStay
                                             : Recovery::kAuto;
  const MigrateReport report = recover_migration(options.request, recovery, context);
  if (report.end == MigrateReport::End::kMoved) {
    Plan plan;
    plan.request = options.request;
    tell_moved(options, plan, report);
  } else if (!options.run.quiet) {
    const std::string end = report.end == MigrateReport::End::kUndone
                                ? "the move is undone"
                                : "the run is ended, and all its files are left";
    print_report(printable(options.request.domain) + ": " + end + "\n", end);
  }
  return 0;
}

/// The host to move to. To stay here, or to undo, it need not answer.
std::shared_ptr<Hypervisor> target_of(const Options& options, const MigrateContext& context) {
  try {
    return connect_hypervisor(options.request.to);
  } catch (const Error& error) {
    if (!options.stay && !options.undo) throw;
    context.observer->warning(std::string(error.what()) + "; going on without that host");
    return context.source;
  }
}

template <typename T>
void change(T& recorded, const T& given) {
  if (given != T()) recorded = given;
}

/// A recorded request, with what may be given anew to --recover.
MigrateRequest changed(MigrateRequest recorded, const MigrateRequest& given) {
  if (recorded.to.empty() && !given.to.empty())
    usage_error("--recover with --to", "that run was on one host; leave --to out");
  change(recorded.from, given.from);
  change(recorded.to, given.to);
  change(recorded.listen_address, given.listen_address);
  change(recorded.migration_uri, given.migration_uri);
  change(recorded.tls, given.tls);
  change(recorded.auto_converge, given.auto_converge);
  change(recorded.parallel, given.parallel);
  change(recorded.max_downtime_ms, given.max_downtime_ms);
  change(recorded.bandwidth, given.bandwidth);
  change(recorded.timeout, given.timeout);
  if (given.shutdown_timeout != MigrateRequest().shutdown_timeout)
    recorded.shutdown_timeout = given.shutdown_timeout;
  change(recorded.force_off, given.force_off);
  change(recorded.overlay_max, given.overlay_max);
  return recorded;
}

/// What a recovery was not told is as it was for the run.
void take_recorded(std::string& option, const std::string& recorded) {
  if (option.empty()) option = recorded;
}

int migrate(Session& session, Options& options) {
  if (options.state_dir.empty()) options.state_dir = default_state_dir();
  make_paths_absolute(options);
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
  RealMigrationStorage storage(session, options.run, options.ceph, options.layout,
                               request.monitors);
  ConsoleObserver observer(session, options.run.progress_style(), options.run.quiet);
  MigrateContext context{.source = connect_hypervisor(request.from),
                         .target = nullptr,
                         .storage = &storage,
                         .observer = &observer,
                         .state_dir = options.state_dir,
                         .stop = session.stop()};
  context.target = request.to.empty() ? context.source : target_of(options, context);
  if (options.recover) {
    session.making_something();
    return recover(options, context);
  }
  const Plan plan = plan_migration(request, context);
  if (options.dry_run || options.check) return print_plan(options, plan);
  if (!plan.possible()) refuse(plan);
  if (!options.run.quiet) say(checks_text(plan, true));
  session.making_something();
  tell_moved(options, plan, execute_migration(plan, context));
  return 0;
}

void add_way_options(CLI::App& app, Options& options) {
  static const std::map<std::string, MigrateMode> kModes = {{"auto", MigrateMode::kAuto},
                                                            {"live", MigrateMode::kLive},
                                                            {"offline", MigrateMode::kOffline}};
  static const std::map<std::string, MigrateMethod> kMethods = {{"auto", MigrateMethod::kAuto},
                                                                {"staged", MigrateMethod::kStaged},
                                                                {"mirror", MigrateMethod::kMirror}};
  MigrateRequest& request = options.request;
  app.add_option("--connect", request.from, "libvirt of the host that has it (default: virsh's)")
      ->type_name("URI");
  app.add_option("--to", request.to, "libvirt of the host that shall run it (default: the same)")
      ->type_name("URI");
  app.add_option("--pool", request.pool, "Pool for the volumes")->type_name("POOL");
  app.add_option("--disk", options.disks,
                 "Move only this disk, to this volume: vda=rbd:POOL/IMAGE; may be repeated")
      ->type_name("DISK=VOLUME")
      ->allow_extra_args(false);
  app.add_option("--name-template", request.name_template,
                 "Names of the volumes, from {domain}, {uuid} and {dev} (default: {domain}-{dev})")
      ->type_name("TEMPLATE");
  app.add_option("--to-dir", request.to_dir, "The way back: from RBD to raw files in DIR")
      ->type_name("DIR");
  add_allow_option(app, request.allow_files);
  app.add_option_function<std::string>(
         "--mode", [&request](const std::string& name) { request.mode = kModes.at(name); },
         "auto, live or offline (default: live if it runs)")
      ->check(CLI::IsMember({"auto", "live", "offline"}))
      ->type_name("MODE");
  app.add_option_function<std::string>(
         "--method", [&request](const std::string& name) { request.method = kMethods.at(name); },
         "auto, staged or mirror (default: staged where the source host reaches the cluster)")
      ->check(CLI::IsMember({"auto", "staged", "mirror"}))
      ->type_name("METHOD");
  app.add_flag("--dry-run", options.dry_run, "Print checks and steps, change nothing");
  app.add_flag("--check", options.check, "Print the checks only; exit status 1 if one fails");
}

void add_guest_options(CLI::App& app, Options& options) {
  const char* group = "How the guest reaches the cluster";
  MigrateRequest& request = options.request;
  app.add_option("--monitor", options.monitors,
                 "HOST[:PORT] of a monitor; may be repeated (default: the --ceph-conf of the host)")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--secret-uuid", request.secret.uuid, "libvirt secret with the key of --id")
      ->type_name("UUID")
      ->group(group);
  app.add_option("--secret-usage", request.secret.usage,
                 "The same by its usage name (default: 'client.ID secret')")
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--define-secret", request.define_secret,
               "Create or update that secret from the keyring, on each host that needs it")
      ->group(group);
}

void add_live_options(CLI::App& app, Options& options) {
  const char* group = "Live";
  MigrateRequest& request = options.request;
  app.add_option("--overlay-dir", request.overlay_dir,
                 "Where the guest's writes go meanwhile (default: beside the image)")
      ->type_name("DIR")
      ->group(group);
  add_size_option(app, "--overlay-max", request.overlay_max,
                  "Undo when the guest wrote more than that to one disk meanwhile")
      ->group(group);
  app.add_flag("--quiesce", request.quiesce, "Let the guest's agent freeze its file systems")
      ->group(group);
  add_size_option(app, "--rate-limit", options.bandwidth,
                  "Write at most SIZE bytes a second, to each disk")
      ->group(group);
  app.add_option("--timeout", options.timeout, "Abort and undo when the copy takes longer")
      ->type_name("SECONDS")
      ->group(group);
  app.add_flag("--synchronous-writes", request.synchronous_writes,
               "The guest waits for both sides: converges always, freezes with the cluster")
      ->group(group);
  app.add_option("--parallel", request.parallel, "Connections for the guest's memory")
      ->type_name("N")
      ->check(CLI::Range(0, 255))
      ->group(group);
  app.add_flag("--auto-converge", request.auto_converge,
               "Slow the guest's processors down until its memory fits through")
      ->group(group);
  app.add_option("--max-downtime", request.max_downtime_ms,
                 "How long the guest may stand still in the end, in milliseconds")
      ->type_name("MS")
      ->group(group);
  app.add_option("--listen-address", request.listen_address,
                 "Address at the target for migration and disk copy (default: that of --to)")
      ->type_name("ADDRESS")
      ->group(group);
  app.add_option("--migration-uri", request.migration_uri,
                 "Where the source sends the guest (default: tcp://ADDRESS)")
      ->type_name("URI")
      ->group(group);
  app.add_flag("--tls", request.tls,
               "Encrypt migration and disk copy; both hosts need certificates")
      ->group(group);
}

void add_end_options(CLI::App& app, Options& options) {
  MigrateRequest& request = options.request;
  const char* offline = "Offline";
  app.add_option("--shutdown-timeout", options.shutdown_timeout,
                 "How long the guest may take to shut down, in seconds (default: 120)")
      ->type_name("SECONDS")
      ->group(offline);
  app.add_flag("--force-off", request.force_off, "Pull the plug when it does not shut down")
      ->group(offline);
  const char* end = "Afterwards";
  app.add_flag("--delete-source", request.delete_source,
               "Remove the old disks once the guest was seen on the new ones")
      ->group(end);
  app.add_flag("--keep-source-definition", request.keep_source_definition,
               "Do not undefine the machine at the source after a move to another host")
      ->group(end);
  const char* recovery = "Recovery";
  CLI::Option* recover =
      app.add_flag("--recover", options.recover, "Finish or undo a run that was killed")
          ->group(recovery);
  CLI::Option* undo = app.add_flag("--undo", options.undo, "With --recover: undo it");
  undo->group(recovery)->needs(recover);
  app.add_flag("--finish", options.finish, "With --recover: finish it")
      ->group(recovery)
      ->needs(recover)
      ->excludes(undo);
  app.add_flag("--stay", options.stay,
               "With --recover: the disks are moved, and the guest stays where it is")
      ->group(recovery)
      ->needs(recover)
      ->excludes(undo)
      ->excludes("--finish");
  app.add_option("--state-dir", options.state_dir,
                 "Where journals are (default: /var/lib/vmferry for root)")
      ->type_name("DIR")
      ->group(recovery);
}

}  // namespace

std::function<int(Session&)> add_migrate(CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("DOMAIN", options->request.domain, "Name of the virtual machine")->required();
  add_way_options(app, *options);
  add_guest_options(app, *options);
  add_cluster_options(app, options->ceph);
  add_layout_options(app, options->layout);
  add_live_options(app, *options);
  add_end_options(app, *options);
  add_run_options(app, options->run);
  app.footer(
      "Examples:\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret --dry-run\n"
      "  vmferry migrate web1 --pool vms --id libvirt --define-secret\n"
      "  vmferry migrate web1 --pool vms --id libvirt --to qemu+ssh://host2/system\n"
      "  vmferry migrate --recover web1\n"
      "\nSee vmferry-migrate(1).");
  return [options, &app](Session& session) {
    if (options->recover) refuse_settled(app);
    refuse_useless(app, *options);
    return migrate(session, *options);
  };
}

}  // namespace vmferry::cli
