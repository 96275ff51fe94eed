// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/migrate_options.h"

// Options that every command has which moves a machine.

namespace vmferry::cli {

void add_guest_options(CLI::App& app, MigrateOptions& options) {
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

void add_other_cluster_options(CLI::App& app, MigrateOptions& options) {
  app.add_option("--to-ceph-conf", options.to_ceph_conf,
                 "Configuration file of the cluster to move to, where that is another one")
      ->type_name("FILE");
  app.add_option("--to-id", options.to_id, "Ceph user there, without 'client.' (default: --id)")
      ->type_name("USER");
}

void add_overlay_options(CLI::App& app, MigrateOptions& options) {
  const char* group = "Live";
  MigrateRequest& request = options.request;
  app.add_option("--overlay-dir", request.overlay_dir,
                 "Where the guest's writes go meanwhile (default: beside a file; see the manual)")
      ->type_name("DIR")
      ->group(group);
  add_size_option(
      app, "--overlay-max", request.overlay_max,
      "When the guest wrote more than that to one disk meanwhile: undo, or (first sync) go "
      "on with another overlay")
      ->group(group);
  app.add_flag("--quiesce", request.quiesce, "Let the guest's agent freeze its file systems")
      ->group(group);
  add_size_option(app, "--rate-limit", options.bandwidth,
                  "Write at most SIZE bytes a second, to each disk")
      ->group(group);
  add_rate_file_option(app, options.rate_file);
  app.add_option("--timeout", options.timeout, "Abort and undo when the copy takes longer")
      ->type_name("SECONDS")
      ->group(group);
}

void add_leaving_options(CLI::App& app, MigrateRequest& request) {
  const char* group = "Live";
  app.add_option("--parallel", request.parallel, "Connections for the guest's memory")
      ->type_name("N")
      ->check(CLI::Range(0, 255))
      ->group(group);
  app.add_flag("--auto-converge", request.auto_converge,
               "Slow the guest's processors down until its memory fits through")
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

void add_keep_definition_option(CLI::App& app, MigrateRequest& request) {
  app.add_flag("--keep-source-definition", request.keep_source_definition,
               "Do not undefine the machine at the source after a move to another host")
      ->group("Afterwards");
}

void add_recover_options(CLI::App& app, MigrateOptions& options) {
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
}

void add_stay_option(CLI::App& app, MigrateOptions& options) {
  app.add_flag("--stay", options.stay,
               "With --recover: the disks are moved, and the guest stays where it is")
      ->group("Recovery")
      ->needs("--recover")
      ->excludes("--undo")
      ->excludes("--finish");
}

void add_log_options(CLI::App& app, MigrateOptions& options) {
  app.add_flag("--trace", options.trace,
               "Print what is asked of libvirt, with answers and times, and no bar");
  app.add_option("--state-dir", options.state_dir,
                 "Where journals and logs are (default: /var/lib/vmferry for root)")
      ->type_name("DIR")
      ->group("Recovery");
}

}  // namespace vmferry::cli
