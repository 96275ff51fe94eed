// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <array>
#include <string_view>

#include "lib/fleet/migrate_run.h"
#include "lib/fleet/sparsify_run.h"
#include "lib/migrate/journal.h"
#include "vmferry/error.h"
#include "vmferry/location.h"

namespace vmferry::fleet {
namespace {

Error refused(const FleetJob& job, const std::string& cause) {
  return Error(
      {.kind = ErrorKind::kUsage,
       .object = "guest " + job.name,
       .action = "begin its move",
       .cause = cause,
       .hint = "look at the plan, and at who may write to the pool's namespace 'vmferry'"});
}

void add(std::vector<std::string>& words, const char* option, const std::string& value) {
  if (!value.empty()) {
    words.emplace_back(std::string(option) + "=" + value);
  }
}

void add_cluster(std::vector<std::string>& words, const JobOrder& order,
                 const MigrateTerms& terms) {
  add(words, "--ceph-conf", terms.ceph.conf);
  add(words, "--keyring", terms.ceph.keyring);
  add(words, "--cluster", terms.ceph.cluster);
  add(words, "--id", order.plan.ceph.id);
}

/// What every run of it gets.
std::vector<std::string> first_words(const JobOrder& order, const MigrateTerms& terms,
                                     const char* command) {
  std::vector<std::string> words = {command, "--json", "--progress=json"};
  add(words, "--state-dir", terms.state_dir);
  add(words, "--connect", terms.connect);
  add_cluster(words, order, terms);
  if (order.bandwidth != 0 && !order.plan.jobs.front().rewrite_only) {
    add(words, "--rate-limit-file", rate_file(order.plan.jobs.front(), terms));
  }
  return words;
}

/// Where its disks go, and how it reaches them.
void add_volumes(std::vector<std::string>& words, const MigrateRequest& request) {
  for (const auto& [dev, volume] : request.disks) {
    add(words, "--disk", dev + "=" + volume.display());
  }
  for (const auto& [dev, base] : request.bases) {
    add(words, "--base", fmt::format("{}={}", dev, base));
  }
  for (const CephMonitor& monitor : request.monitors) {
    const bool ipv6 = monitor.host.find(':') != std::string::npos;
    add(words, "--monitor",
        (ipv6 ? "[" + monitor.host + "]" : monitor.host) + ":" + std::to_string(monitor.port));
  }
  add(words, "--secret-uuid", request.secret.uuid);
  add(words, "--secret-usage", request.secret.usage);
  if (request.define_secret) {
    words.emplace_back("--define-secret");
  }
  add(words, "--data-pool", request.layout.data_pool);
}

void add_guest(std::vector<std::string>& words, const FleetJob& job) {
  words.emplace_back("--");  // a name may begin with '-'
  words.push_back(job.name);
}

}  // namespace

std::string rate_file(const FleetJob& job, const MigrateTerms& terms) {
  return terms.state_dir + "/" + migrate::state_file_name(job.name) + ".rate";
}

/// libvirt runs a command that a URI names ("?command="), on this host: so only what is known to
/// name a place is passed on. See libvirt's "Connection URIs".
void require_plain_uri(const FleetJob& job) {
  static constexpr std::array<std::string_view, 7> kSchemes = {
      "qemu", "qemu+ssh", "qemu+tls", "qemu+tcp", "qemu+unix", "qemu+libssh", "qemu+libssh2"};
  static constexpr std::array<std::string_view, 4> kParameters = {"socket", "mode", "no_tty",
                                                                  "no_verify"};
  const std::string_view uri = job.to;
  const size_t colon = uri.find(':');
  bool plain = false;
  for (const std::string_view scheme : kSchemes) {
    plain = plain || uri.substr(0, colon) == scheme;
  }
  size_t at = uri.find('?');
  while (plain && at != std::string_view::npos) {
    const std::string_view rest = uri.substr(at + 1);
    const std::string_view name = rest.substr(0, rest.find_first_of("=&;"));
    bool known = false;
    for (const std::string_view each : kParameters) {
      known = known || name == each;
    }
    plain = known;
    const size_t next = rest.find_first_of("&;");
    at = next == std::string_view::npos ? next : at + 1 + next;
  }
  if (!plain) {
    throw refused(job, "a worker does not use such a URI: " + job.to);
  }
}

namespace {

void add_target_host(std::vector<std::string>& words, const FleetJob& job) {
  if (!job.to.empty()) {
    require_plain_uri(job);
    add(words, "--to", job.to);
  }
}

}  // namespace

std::vector<std::string> migrate_arguments(const JobOrder& order, const MigrateTerms& terms) {
  const FleetJob& job = order.plan.jobs.front();
  const MigrateRequest request = migrate_request(order.plan, job);
  std::vector<std::string> words = first_words(order, terms, "migrate");
  add(words, "--uuid", job.uuid);
  words.emplace_back(request.mode == MigrateMode::kLive ? "--mode=live" : "--mode=offline");
  if (request.rewrite_only) {
    words.emplace_back("--rewrite-only");
  }
  if (request.no_shutdown) {
    words.emplace_back("--no-shutdown");
  }
  if (request.snapshots) {
    words.emplace_back("--snapshots");
  }
  add_target_host(words, job);
  add_volumes(words, request);
  add_guest(words, job);
  return words;
}

std::vector<std::string> sync_arguments(const JobOrder& order, const MigrateTerms& terms) {
  const FleetJob& job = order.plan.jobs.front();
  if (!job.to.empty()) {
    require_plain_uri(job);  // now, and not when its cutover begins
  }
  std::vector<std::string> words = first_words(order, terms, "sync");
  add(words, "--uuid", job.uuid);
  add_volumes(words, migrate_request(order.plan, job));
  add_guest(words, job);
  return words;
}

std::vector<std::string> cutover_arguments(const JobOrder& order, const MigrateTerms& terms) {
  std::vector<std::string> words = first_words(order, terms, "cutover");
  add_target_host(words, order.plan.jobs.front());
  add_guest(words, order.plan.jobs.front());
  return words;
}

std::vector<std::string> give_up_arguments(const JobOrder& order, const MigrateTerms& terms) {
  std::vector<std::string> words = first_words(order, terms, "sync");
  words.insert(words.end(), {"--stop", "--remove-volumes"});
  add_guest(words, order.plan.jobs.front());
  return words;
}

std::vector<std::string> recover_arguments(const JobOrder& order, const MigrateTerms& terms,
                                           const std::string& how) {
  std::vector<std::string> words = first_words(order, terms, "migrate");
  words.emplace_back("--recover");
  if (!how.empty()) {
    words.push_back(how);
  }
  add_guest(words, order.plan.jobs.front());
  return words;
}

std::vector<std::string> sparsify_arguments(const JobOrder& order, const MigrateTerms& terms) {
  std::vector<std::string> words = {"sparsify", "--in-place", "--json", "--progress=json"};
  add_cluster(words, order, terms);
  words.emplace_back("--");
  words.push_back(order.plan.jobs.front().disks.front().target.display());
  return words;
}

}  // namespace vmferry::fleet
