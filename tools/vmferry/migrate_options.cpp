// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/migrate_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "vmferry/create.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

/// Names of files hold wherever the run, or a later recovery of it, is started.
void make_absolute(std::string& path) {
  if (path.empty()) {
    return;
  }
  std::filesystem::path absolute = std::filesystem::absolute(path);
  // What is above a link is not what stands before it.
  const bool plain = std::find(absolute.begin(), absolute.end(), "..") == absolute.end();
  path = (plain ? absolute.lexically_normal() : absolute).string();
}

void make_paths_absolute(MigrateOptions& options) {
  MigrateRequest& request = options.request;
  for (std::string* path : {&request.to_dir, &request.overlay_dir, &options.state_dir,
                            &options.ceph.conf, &options.ceph.keyring, &options.to_ceph_conf}) {
    make_absolute(*path);
  }
  for (std::string& prefix : request.allow_files) {
    make_absolute(prefix);
  }
}

/// "vda=rbd:pool/image".
void take_disk(MigrateRequest& request, const std::string& text) {
  const size_t equals = text.find('=');
  const std::string dev = text.substr(0, equals);
  const std::string wanted = "--disk vda=rbd:POOL/IMAGE";
  if (equals == std::string::npos || equals == 0) {
    if (request.to_dir.empty()) {
      refuse_usage("no place is named in --disk " + dev.substr(0, dev.find(':')), wanted);
    }
    request.disks[text] = {};
    return;
  }
  if (request.to_files()) {
    refuse_usage("a volume is named in --disk " + dev, "with --to-dir: --disk vda, and no more");
  }
  const RbdLocation volume = parse_rbd_location(text.substr(equals + 1));
  if (!volume.snapshot.empty()) {
    refuse_usage("a snapshot is named in --disk " + dev + ", which is read-only", wanted);
  }
  if (!volume.name_space.empty()) {
    refuse_usage("libvirt and QEMU open no RADOS namespace: " + volume.display(), wanted);
  }
  if (!volume.options.empty()) {
    refuse_usage(
        "options of the cluster go into --ceph-conf, --id and --monitor, not into --disk " + dev,
        wanted);
  }
  if (!request.disks.emplace(dev, VolumeName{volume.pool, volume.image}).second) {
    refuse_usage("--disk names " + dev + " twice", wanted);
  }
}

/// "vda=rbd:pool/image@snapshot".
void take_base(MigrateRequest& request, const std::string& text) {
  const std::string wanted = "--base vda=rbd:POOL/IMAGE@SNAPSHOT";
  const size_t equals = text.find('=');
  const std::string dev = text.substr(0, equals);
  if (equals == std::string::npos || equals == 0) {
    refuse_usage("no disk is named in --base " + text, wanted);
  }
  const RbdLocation base = parse_rbd_location(text.substr(equals + 1));
  if (base.snapshot.empty()) {
    refuse_usage("a volume is named in --base " + dev + ", which may change", wanted);
  }
  if (!base.options.empty()) {
    refuse_usage("a base is in the cluster of the volumes: options after it mean nothing", wanted);
  }
  if (!request.bases.emplace(dev, text.substr(equals + 1)).second) {
    refuse_usage("--base names " + dev + " twice", wanted);
  }
}

void add_way_options(CLI::App& app, MigrateOptions& options) {
  static const std::map<std::string, MigrateMode> kModes = {{"auto", MigrateMode::kAuto},
                                                            {"live", MigrateMode::kLive},
                                                            {"offline", MigrateMode::kOffline}};
  static const std::map<std::string, MigrateMethod> kMethods = {{"auto", MigrateMethod::kAuto},
                                                                {"staged", MigrateMethod::kStaged},
                                                                {"mirror", MigrateMethod::kMirror}};
  MigrateRequest& request = options.request;
  app.add_option("--connect", request.from, "libvirt of the host that has it (default: virsh's)")
      ->type_name("URI");
  app.add_option("--uuid", request.uuid, "Only if it has this UUID")->type_name("UUID");
  app.add_option("--to", request.to, "libvirt of the host that shall run it (default: the same)")
      ->type_name("URI");
  app.add_option("--pool", request.pool, "Pool for the volumes")->type_name("POOL");
  app.add_option("--disk", options.disks,
                 "Move only this disk, to this volume: vda=rbd:POOL/IMAGE; may be repeated")
      ->type_name("DISK=VOLUME")
      ->allow_extra_args(false);
  app.add_option("--base", options.bases,
                 "Make the volume of this disk a clone of a snapshot, with what differs from it: "
                 "vda=rbd:POOL/IMAGE@SNAPSHOT; may be repeated")
      ->type_name("DISK=SNAPSHOT")
      ->allow_extra_args(false);
  app.add_option("--name-template", request.name_template,
                 "Names of the volumes, from {domain}, {uuid} and {dev} (default: {domain}-{dev})")
      ->type_name("TEMPLATE");
  app.add_option("--to-dir", request.to_dir, "The way back: from RBD to files in DIR")
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
  app.add_flag("--rewrite-only", request.rewrite_only,
               "The volumes are copies already: compare them while the guest is off, and change "
               "only its definition");
  app.add_flag("--dry-run", options.dry_run, "Print checks and steps, change nothing");
  app.add_flag("--check", options.check, "Print the checks only; exit status 1 if one fails")
      ->excludes("--dry-run");
}

void add_live_options(CLI::App& app, MigrateOptions& options) {
  const char* group = "Live";
  MigrateRequest& request = options.request;
  add_overlay_options(app, options);
  app.add_flag("--synchronous-writes", request.synchronous_writes,
               "The guest waits for both sides: converges always, freezes with the cluster")
      ->group(group);
  app.add_option("--max-downtime", request.max_downtime_ms,
                 "How long the guest may stand still in the end, in milliseconds")
      ->type_name("MS")
      ->group(group);
  add_leaving_options(app, request);
}

void add_end_options(CLI::App& app, MigrateOptions& options) {
  MigrateRequest& request = options.request;
  const char* offline = "Offline";
  app.add_option("--shutdown-timeout", options.shutdown_timeout,
                 "How long the guest may take to shut down, in seconds (default: 120)")
      ->type_name("SECONDS")
      ->group(offline);
  app.add_flag("--force-off", request.force_off, "Pull the plug when it does not shut down")
      ->group(offline);
  app.add_flag("--no-shutdown", request.no_shutdown, "Fail where the guest runs")
      ->excludes("--force-off")
      ->group(offline);
  app.add_flag(
         "--snapshots", request.snapshots,
         "Copy the snapshots inside of qcow2 images, too: they become snapshots of the volumes")
      ->excludes("--base")
      ->group(offline);
  app.add_flag("--chain-as-snapshots", request.chain_as_snapshots,
               "Copy each layer of the backing chains as a snapshot of the volume")
      ->excludes("--base")
      ->excludes("--snapshots")
      ->group(offline);
  const char* end = "Afterwards";
  app.add_flag("--delete-source", request.delete_source,
               "Remove the old disks once the guest was seen on the new ones")
      ->group(end);
  add_keep_definition_option(app, request);
}

/// The disks are on RBD already, and go to another cluster, which has other keys.
void go_to_other_cluster(MigrateOptions& options) {
  if (options.to_ceph_conf.empty() && options.to_id.empty()) {
    return;
  }
  options.request.old_cluster = options.ceph;
  if (!options.to_ceph_conf.empty()) {
    options.ceph.conf = options.to_ceph_conf;
    options.ceph.keyring.clear();
    options.ceph.cluster.clear();
  }
  if (!options.to_id.empty()) {
    options.ceph.id = options.to_id;
  }
}

template <typename T>
void change(T& recorded, const T& given) {
  if (given != T()) {
    recorded = given;
  }
}

}  // namespace

[[noreturn]] void refuse_usage(const std::string& what, const std::string& hint) {
  throw Error({.kind = ErrorKind::kUsage, .object = {}, .action = {}, .cause = what, .hint = hint});
}

void add_migrate_options(CLI::App& app, MigrateOptions& options) {
  app.add_option("DOMAIN", options.request.domain, "Name of the virtual machine")->required();
  add_way_options(app, options);
  add_guest_options(app, options);
  add_cluster_options(app, options.ceph);
  add_other_cluster_options(app, options);
  add_layout_options(app, options.layout);
  add_image_layout_options(app, options.request.file_layout);
  add_live_options(app, options);
  add_end_options(app, options);
  add_recover_options(app, options);
  add_stay_option(app, options);
  add_log_options(app, options);
  add_run_options(app, options.run);
}

void complete(MigrateOptions& options) {
  MigrateRequest& request = options.request;
  if (options.state_dir.empty()) {
    options.state_dir = default_state_dir();
  }
  make_paths_absolute(options);
  for (const std::string& disk : options.disks) {
    take_disk(request, disk);
  }
  for (const std::string& base : options.bases) {
    take_base(request, base);
  }
  for (const std::string& monitor : options.monitors) {
    request.monitors.push_back(parse_monitor(monitor));
  }
  request.bandwidth = options.bandwidth.value_or(0);
  request.timeout = std::chrono::seconds(options.timeout);
  request.shutdown_timeout = std::chrono::seconds(options.shutdown_timeout);
  if (options.recover) {
    return;
  }
  if (request.to_dir.empty() && request.pool.empty() && request.disks.empty()) {
    refuse_usage("no volume is named", "--pool POOL, or --disk vda=rbd:POOL/IMAGE");
  }
  if (request.to_files() && !request.pool.empty()) {
    refuse_usage("--pool and --to-dir do not go together", "one way at a time");
  }
  if (request.to_files()) {
    check_new_image(PathLocation{request.to_dir}, {}, request.file_layout);
  }
  if (!request.secret.uuid.empty() && !request.secret.usage.empty()) {
    refuse_usage("--secret-uuid and --secret-usage name one secret twice", "leave one out");
  }
  if (const char* conf = std::getenv("CEPH_CONF"); options.ceph.conf.empty() && conf) {
    options.ceph.conf = conf;
  }
  make_absolute(options.ceph.conf);
  go_to_other_cluster(options);
  request.ceph_conf = options.ceph.conf;
  request.keyring = options.ceph.keyring;
  request.cluster = options.ceph.cluster;
  request.layout = options.layout;
  request.user = options.ceph.id;
  // The name that Ceph's own manual gives it.
  if (!request.user.empty() && request.secret.uuid.empty() && request.secret.usage.empty()) {
    request.secret.usage = "client." + request.user + " secret";
  }
  if (request.user.empty() &&
      (request.define_secret || !request.secret.usage.empty() || !request.secret.uuid.empty())) {
    refuse_usage("a secret without a user", "--id USER names the Ceph user of the guest");
  }
}

MigrateRequest changed(MigrateRequest recorded, const MigrateRequest& given) {
  if (recorded.to.empty() && !given.to.empty()) {
    refuse_usage("--recover with --to", "that run was on one host; leave --to out");
  }
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
  if (given.shutdown_timeout != MigrateRequest().shutdown_timeout) {
    recorded.shutdown_timeout = given.shutdown_timeout;
  }
  change(recorded.force_off, given.force_off);
  change(recorded.overlay_max, given.overlay_max);
  return recorded;
}

}  // namespace vmferry::cli
