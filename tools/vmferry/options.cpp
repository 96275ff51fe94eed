// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <thread>

#include "lib/core/parse_size.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/error.h"

namespace vmferry::cli {
namespace {

// Reading waits for disks more than for processors: depth is worth having on a small machine, too.
constexpr unsigned kFewestJobs = 8;
constexpr unsigned kMostJobs = 64;

constexpr const char* kCephGroup = "Ceph";
constexpr const char* kHttpGroup = "Web server";

}  // namespace

std::string refuse_client_prefix(const std::string& id) {
  return id.starts_with("client.") ? "a user is named without 'client.'" : "";
}

void add_cluster_options(CLI::App& app, CephOptions& ceph) {
  app.add_option("--ceph-conf", ceph.conf,
                 "Configuration file of the cluster (default: CEPH_CONF, /etc/ceph)")
      ->type_name("FILE")
      ->group(kCephGroup);
  app.add_option("--id", ceph.id, "Ceph user, without 'client.' (default: admin)")
      ->type_name("USER")
      ->check(refuse_client_prefix)
      ->group(kCephGroup);
  app.add_option("--keyring", ceph.keyring, "File with the user's key")
      ->type_name("FILE")
      ->group(kCephGroup);
  app.add_option("--cluster", ceph.cluster, "Name of the cluster (default: ceph)")
      ->type_name("NAME")
      ->group(kCephGroup);
}

void add_network_options(CLI::App& app, NetworkOptions& network) {
  add_cluster_options(app, network.ceph);
  app.add_option("--ceph-timeout", network.ceph.timeout,
                 "How long monitors may take to answer, in seconds (default: 30)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86400))
      ->group(kCephGroup);
  app.add_option("--cacert", network.http.cacert,
                 "File with the certificates to trust (PEM; default: the system's)")
      ->type_name("FILE")
      ->group(kHttpGroup);
  app.add_option("--netrc-file", network.http.netrc_file,
                 "File with users and passwords of servers, in the format of netrc(5)")
      ->type_name("FILE")
      ->group(kHttpGroup);
}

void add_image_options(CLI::App& app, const std::string& which, SourceOptions& image,
                       const std::string& suffix) {
  app.add_option_function<std::string>(
         (suffix.empty() ? "-f,--format" : "-F,--format") + suffix,
         [&image](const std::string& name) { image.format = find_format(name); },
         fmt::format("Format of {}: {} (default: probed; a probed image may not open other files)",
                     which, fmt::join(format_names(), ", ")))
      ->type_name("FORMAT")
      ->check(CLI::IsMember(format_names()));
  app.add_option("--disk" + suffix, image.disk,
                 "Which disk of " + which + ", if it is an OVA with several, from 1 on")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
  app.add_option("--snapshot" + suffix, image.snapshot.name,
                 "Read the internal snapshot of that name in " + which)
      ->type_name("NAME");
  app.add_option("--snapshot-id" + suffix, image.snapshot.id,
                 "Read the internal snapshot with that id in " + which)
      ->type_name("ID");
  app.add_option("--key-file" + suffix, image.key_file,
                 "File with the passphrase of " + which + ", if it is encrypted")
      ->type_name("FILE");
}

void add_allow_option(CLI::App& app, std::vector<std::string>& prefixes) {
  app.add_option("--allow-file", prefixes,
                 "Let an image open other files below PREFIX; may be repeated")
      ->type_name("PREFIX")
      ->allow_extra_args(false)
      ->check([](const std::string& prefix) {
        return prefix.empty() ? std::string("a prefix may not be empty") : std::string();
      });
}

void add_trust_options(CLI::App& app, SourceOptions& image) {
  add_allow_option(app, image.policy.allowed_prefixes);
  app.add_flag("--force-corrupt", image.force_corrupt,
               "Read an image that is marked as corrupt as far as it can be read");
}

void add_in_use_option(CLI::App& app, bool& source_in_use) {
  app.add_flag("--source-in-use", source_in_use,
               "Read an image that another process writes to, or that changes meanwhile; what is "
               "read may then mix old and new data");
}

void add_run_options(CLI::App& app, RunOptions& run) {
  static const std::map<std::string, ProgressStyle> kStyles = {{"auto", ProgressStyle::kAuto},
                                                               {"bar", ProgressStyle::kBar},
                                                               {"json", ProgressStyle::kJson},
                                                               {"none", ProgressStyle::kNone}};
  run.jobs = std::clamp(std::thread::hardware_concurrency(), kFewestJobs, kMostJobs);
  app.add_option("-j,--jobs", run.jobs,
                 fmt::format("Threads that read (default here: {})", run.jobs))
      ->type_name("N")
      ->check(CLI::Range(1u, kMostJobs));
  app.add_flag("-q,--quiet", run.quiet, "Say nothing but errors");
  app.add_flag("--json", run.json, "Print the result as one JSON object on standard output");
  app.add_option_function<std::string>(
         "--progress", [&run](const std::string& name) { run.progress = kStyles.at(name); },
         "auto, bar, json (one object a line) or none; on standard error (default: auto, a bar on "
         "a terminal)")
      ->type_name("STYLE")
      ->check(CLI::IsMember({"auto", "bar", "json", "none"}));
}

CLI::Option* add_size_option(CLI::App& app, const std::string& flags,
                             std::optional<uint64_t>& bytes, const std::string& help) {
  return app
      .add_option_function<std::string>(
          flags,
          [&bytes, flags](const std::string& text) {
            try {
              bytes = parse_size(text);
            } catch (const Error& error) {
              throw CLI::ValidationError(flags, fmt::format("{} ({})", error.what(), error.hint()));
            }
          },
          help)
      ->type_name("SIZE");
}

void add_rate_file_option(CLI::App& app, std::string& path) {
  CLI::Option* limit = app.get_option("--rate-limit");
  app.add_option("--rate-limit-file", path,
                 "The same, read from FILE again and again: a SIZE that may be changed meanwhile")
      ->type_name("FILE")
      ->excludes(limit)
      ->group(limit->get_group());
}

void add_layout_options(CLI::App& app, RbdLayout& layout) {
  const char* group = "New RBD volume";
  add_size_option(app, "--object-size", layout.object_size,
                  "Size of its objects (default: the cluster's, mostly 4M)")
      ->group(group);
  add_size_option(app, "--stripe-unit", layout.stripe_unit, "Stripe unit")->group(group);
  app.add_option("--stripe-count", layout.stripe_count, "Objects in a stripe")
      ->type_name("N")
      ->check(CLI::Range(1, 65536))
      ->group(group);
  app.add_option("--data-pool", layout.data_pool, "Pool for its data")
      ->type_name("POOL")
      ->group(group);
  app.add_option("--features", layout.features,
                 "Its features, with commas between: layering, exclusive-lock, object-map, "
                 "fast-diff, deep-flatten, journaling")
      ->type_name("LIST")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
}

void add_image_layout_options(CLI::App& app, ImageLayout& layout) {
  const char* group = "New image";
  app.add_option_function<std::string>(
         "-O,--target-format",
         [&layout](const std::string& name) { layout.format = *find_format(name); },
         fmt::format("Format of the target: {} (default: raw)",
                     fmt::join(new_format_names(), " or ")))
      ->type_name("FORMAT")
      ->check(CLI::IsMember(new_format_names()))
      ->group(group);
  app.add_option("--compress", layout.compression, "Compress its clusters: zlib or zstd")
      ->type_name("TYPE")
      ->check(CLI::IsMember({"zlib", "zstd"}))
      ->group(group);
  app.add_option("--compression-level", layout.compression_level,
                 "1 to 9 for zlib, 1 to 19 for zstd (default: 4, 2)")
      ->type_name("N")
      ->group(group);
  add_size_option(app, "--cluster-size", layout.cluster_size,
                  "Size of its clusters, a power of two from 512 to 2M (default: 64K)")
      ->group(group);
}

void print_warnings(const OpenImage& image, bool quiet) {
  if (quiet) {
    return;
  }
  for (const std::string& warning : image.warnings) {
    say_line("vmferry: warning: " + warning);
  }
}

}  // namespace vmferry::cli
