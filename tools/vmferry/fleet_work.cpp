// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"
#include "vmferry/fleet_state.h"
#include "vmferry/host.h"
#include "vmferry/migrate.h"

namespace vmferry::cli {
namespace {

struct WorkOptions {
  FleetWork work;
  unsigned lease = 30;
  bool quiet = false;
};

int work(Session& session, WorkOptions& options) {
  FleetWork& work = options.work;
  if (work.pool.empty() && work.name.empty()) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = "fleet work",
                 .action = {},
                 .cause = "neither a fleet nor a pool is named",
                 .hint = "--pool POOL works on all fleets of that pool, --name NAME on one"});
  }
  if (work.state_dir.empty()) {
    work.state_dir = default_state_dir();
  }
  for (std::string* path : {&work.state_dir, &work.ceph.conf, &work.ceph.keyring}) {
    *path = path->empty() ? "" : std::filesystem::absolute(*path).string();
  }
  // Its name now: a newer one that takes its place fits the libraries there are then.
  work.program = std::filesystem::read_symlink("/proc/self/exe").string();
  if (work.host.empty()) {
    work.host = connect_host(work.connect)->facts().hostname;
  }
  work.lease = std::chrono::seconds(options.lease);
  work.stop = session.stop();
  if (!options.quiet) {
    work.say = say_line;
  }
  session.making_something(
      "vmferry: interrupted twice; moves were ended where they were: the next worker on this host "
      "recovers them\n");
  work_on_fleet(work);
  return 0;
}

}  // namespace

std::function<int(Session&)> add_fleet_work(CLI::App& app) {
  auto options = std::make_shared<WorkOptions>();
  FleetWork& work = options->work;
  app.add_option("--name", work.name, "Work on this fleet (default: on all of the pool)")
      ->type_name("NAME");
  app.add_option("--pool", work.pool, "Pool that has the fleets (default with --name: looked for)")
      ->type_name("POOL");
  app.add_option("--slots", work.slots,
                 "Jobs at once in this worker (default: what the plan allows a host)")
      ->type_name("N")
      ->check(CLI::Range(1, 64));
  app.add_flag("--once", work.once, "End when there is nothing more to do for this host");
  app.add_option("--connect", work.connect, "libvirt of this host (default: virsh's)")
      ->type_name("URI");
  app.add_option("--host", work.host,
                 "Do the jobs of the host that the plan calls so (default: what libvirt says)")
      ->type_name("NAME");
  app.add_option("--state-dir", work.state_dir,
                 "Where journals and logs are (default: /var/lib/vmferry for root)")
      ->type_name("DIR");
  app.add_option("--lease", options->lease,
                 "Seconds after which another worker may take over from this one (default: 30)")
      ->type_name("SECONDS")
      ->check(CLI::Range(10, 3600));
  app.add_flag("-q,--quiet", options->quiet, "Say nothing but errors");
  add_cluster_options(app, work.ceph);
  return [options](Session& session) { return vmferry::cli::work(session, *options); };
}

}  // namespace vmferry::cli
