// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/rehearse.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>

#include "lib/core/printable.h"
#include "lib/core/shell_word.h"
#include "tools/vmferry/command.h"
#include "tools/vmferry/options.h"
#include "tools/vmferry/rehearse_report.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/text_file.h"
#include "vmferry/error.h"
#include "vmferry/sync.h"
#include "vmferry/sync_state.h"

namespace vmferry::cli {
namespace {

struct RehearseOptions {
  std::string domain;
  std::string connect;
  std::string to;
  std::string wait;
  unsigned timeout = 600;
  std::optional<uint64_t> memory;
  std::string screenshot;  ///< a file; empty: none is wanted
  bool clean = false;
  std::string state_dir;
  bool quiet = false;
  bool json = false;
};

/// A cluster that does not answer within this is not one to start a guest on (seconds).
constexpr unsigned kRehearsalClusterPatience = 10;

constexpr const char* kLeftBehind =
    "vmferry: interrupted twice; the machine and the volumes of the rehearsal may be left behind; "
    "'vmferry rehearse --clean DOMAIN' removes them\n";

Error bad_wait(const std::string& cause, const std::string& hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = "rehearse",
                .action = {},
                .cause = cause,
                .hint = hint});
}

void take_wait(const RehearseOptions& options, RehearsalRequest& request) {
  request.timeout = std::chrono::seconds(options.timeout);
  if (options.wait == "agent" || options.wait == "login") {
    request.sign = options.wait == "agent" ? UpSign::kAgent : UpSign::kLogin;
    return;
  }
  if (options.wait.empty()) {
    return;
  }
  unsigned seconds = 0;
  const char* const end = options.wait.data() + options.wait.size();
  const auto [stopped, wrong] = std::from_chars(options.wait.data(), end, seconds);
  if (wrong != std::errc() || stopped != end || seconds == 0) {
    throw bad_wait("--wait " + options.wait + " names no sign",
                   "it is agent, login, or a number of seconds");
  }
  if (seconds > options.timeout) {
    throw bad_wait(fmt::format("--wait {} is longer than --timeout {}", seconds, options.timeout),
                   "give it more time with --timeout");
  }
  request.sign = UpSign::kRunning;
  request.running = std::chrono::seconds(seconds);
}

/// What the last sync of the guest says.
RehearsalRequest request_of(const RehearseOptions& options) {
  const std::optional<SyncState> state = read_sync_state(options.domain, options.state_dir);
  if (!state) {
    throw Error({.kind = ErrorKind::kNotFound,
                 .object = "domain " + options.domain,
                 .action = "rehearse",
                 .cause = "no sync of it is known: there is no " +
                          sync_state_path(options.domain, options.state_dir),
                 .hint = "'vmferry sync " + shell_word(options.domain) +
                         "' brings its disks to Ceph while it runs; or it ran with another "
                         "--state-dir"});
  }
  const MigrateRequest& sync = state->request;
  RehearsalRequest request;
  request.domain = options.domain;
  request.uuid = state->uuid;
  request.from = options.connect.empty() ? sync.from : options.connect;
  request.to = options.to;
  for (const SyncedDisk& disk : state->disks) {
    request.disks.push_back({.dev = disk.dev,
                             .volume = disk.volume,
                             .snapshot = sync_mark(state->last().number),
                             .identity = disk.volume_identity});
  }
  request.monitors = sync.monitors;
  request.ceph_conf = sync.ceph_conf;
  request.user = sync.user;
  request.secret = sync.secret;
  request.ceph.conf = sync.ceph_conf;
  request.ceph.id = sync.user;
  request.ceph.keyring = sync.keyring;
  request.ceph.cluster = sync.cluster;
  request.memory = options.memory;
  request.screenshot = !options.screenshot.empty();
  return request;
}

RehearsalContext context_of(Session& session, const RehearseOptions& options) {
  RehearsalContext context;
  context.connect = connect_host;
  context.volumes = [&session](CephOptions ceph) {
    ceph.timeout = kRehearsalClusterPatience;
    return rehearsal_volumes(
        ceph, session.stop(), [&session] { session.making_something(kLeftBehind); }, say_notice);
  };
  context.state_dir = options.state_dir;
  context.stop = session.stop();
  if (!options.quiet) {
    context.step = say_line;
  }
  return context;
}

int clean(Session& session, const RehearseOptions& options) {
  session.making_something(kLeftBehind);
  const bool found = clean_rehearsal(options.domain, context_of(session, options));
  if (!options.quiet) {
    print(printable(options.domain) +
          (found ? ": what the rehearsal left is removed\n" : ": no rehearsal left anything\n"));
  }
  return 0;
}

/// The rehearsal is over: that its picture cannot be written changes nothing of what it tells.
bool keep_screenshot(const RehearseOptions& options, RehearsalReport& report) {
  if (!report.screenshot) {
    return false;
  }
  try {
    keep_text_file(options.screenshot, report.screenshot->bytes);
    return true;
  } catch (const Error& error) {
    say_notice(error.what());
    report.no_screenshot = error.parts().cause;
    return false;
  }
}

[[noreturn]] void refuse_picture(ErrorKind kind, const std::string& path, const std::string& cause,
                                 const std::string& hint) {
  throw Error({.kind = kind,
               .object = path,
               .action = "write the screenshot",
               .cause = cause,
               .hint = hint});
}

void refuse_screenshot_file(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code unknown;
  if (path.empty()) {
    return;
  }
  if (fs::exists(path, unknown)) {
    refuse_picture(ErrorKind::kConflict, path, "the file exists", "name a new file");
  }
  const std::string dir = fs::absolute(path).parent_path().string();
  if (!fs::is_directory(dir, unknown)) {
    refuse_picture(ErrorKind::kNotFound, path, "there is no directory " + dir,
                   "make it, or name a file in another one");
  }
  if (::faccessat(AT_FDCWD, dir.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    refuse_picture(ErrorKind::kIo, path,
                   "no file can be made in " + dir + ": " + std::generic_category().message(errno),
                   "name a file in another directory");
  }
}

/// A cutover, or the end of a warm move that is given up, takes away what a rehearsal reads.
void refuse_ending_move(const RehearseOptions& options) {
  const std::optional<RunKind> kind = unended_kind(options.domain, options.state_dir);
  if (kind == RunKind::kCutover || kind == RunKind::kStop) {
    require_ended(options.domain, options.state_dir);
  }
}

int run_rehearsal(Session& session, RehearseOptions& options) {
  if (options.state_dir.empty()) {
    options.state_dir = default_state_dir();
  }
  options.state_dir = std::filesystem::absolute(options.state_dir).string();
  if (options.clean) {
    return clean(session, options);
  }
  RehearsalRequest wishes;
  take_wait(options, wishes);
  refuse_ending_move(options);
  RehearsalRequest request = request_of(options);
  request.sign = wishes.sign;
  request.running = wishes.running;
  request.timeout = wishes.timeout;
  refuse_screenshot_file(options.screenshot);
  RehearsalReport report = rehearse(request, context_of(session, options));
  const bool kept = keep_screenshot(options, report);
  const std::string picture = kept ? options.screenshot : "";
  print_report(options.json    ? rehearsal_json(options.domain, report, picture) + "\n"
               : options.quiet ? ""
                               : rehearsal_text(options.domain, report, picture),
               "the rehearsal is over");
  for (const std::string& left : report.left) {
    say_notice("could not be removed: " + left);
  }
  if (!report.left.empty()) {
    say_line("hint: when that is put right: vmferry rehearse --clean " +
             shell_word(options.domain));
  }
  const bool is_lost = report.screenshot && !kept;
  return report.came_up && report.left.empty() && !is_lost ? 0 : 1;
}

}  // namespace

std::function<int(Session&)> add_rehearse(CLI::App& app) {
  auto options = std::make_shared<RehearseOptions>();
  app.add_option("DOMAIN", options->domain, "Name of the virtual machine")->required();
  app.add_option("--connect", options->connect,
                 "libvirt of the host that has it (default: as for its sync)")
      ->type_name("URI");
  app.add_option("--to", options->to, "libvirt of the host for the copy (default: the same)")
      ->type_name("URI");
  app.add_option("--wait", options->wait,
                 "Until it is up: agent, login, or SECONDS of running (default: the agent if it "
                 "has one, else a login prompt, else 30)")
      ->type_name("SIGN");
  app.add_option("--timeout", options->timeout, "How long it may take, in seconds (default: 600)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1, 86400));
  add_size_option(app, "--memory", options->memory,
                  "Memory of the copy (default: as much as the guest has)");
  app.add_option("--screenshot", options->screenshot, "Keep what is on its screen at the end")
      ->type_name("FILE");
  CLI::Option* clean =
      app.add_flag("--clean", options->clean, "Only remove what a killed rehearsal left");
  for (const char* other : {"--connect", "--to", "--wait", "--memory", "--screenshot"}) {
    clean->excludes(other);
  }
  app.add_option("--state-dir", options->state_dir,
                 "Where the state of syncs is (default: /var/lib/vmferry for root)")
      ->type_name("DIR");
  app.add_flag("-q,--quiet", options->quiet, "Print nothing but errors");
  app.add_flag("--json", options->json, "Print the result as JSON");
  app.footer(
      "Examples:\n"
      "  vmferry rehearse web1\n"
      "  vmferry rehearse web1 --to qemu+ssh://host2/system --memory 1G --screenshot web1.png\n"
      "  vmferry rehearse --clean web1\n"
      "\nSee vmferry-rehearse(1).");
  return [options](Session& session) { return run_rehearsal(session, *options); };
}

}  // namespace vmferry::cli
