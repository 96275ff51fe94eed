// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "tools/vmferry/command.h"
#include "tools/vmferry/surroundings.h"
#include "tools/vmferry/ui/output.h"
#include "tools/vmferry/ui/say.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/error.h"
#include "vmferry/version.h"

namespace vmferry::cli {
namespace {

struct Row {
  Command command;
  int failed;  ///< exit status for every error but a usage error, which is 2
};

constexpr Row kCommands[] = {
    {{"convert",
      "Copy a disk image, sparse-aware, to a file, a device, an NBD export or an RBD volume",
      add_convert},
     1},
    {{"compare", "Do two images show a guest the same bytes?", add_compare}, 2},
    {{"info", "What an image is, and what is inside: partitions and file systems", add_info}, 1},
    {{"map", "Where an image keeps its data: a table, JSON, or a picture", add_map}, 1},
    {{"sparsify", "Give back the space that holds no data, in place or into a copy", add_sparsify},
     1},
    {{"bases", "Which images could share a base on Ceph, and how much that would save", add_bases},
     1},
    {{"rewrite", "Put the disks of a libvirt domain definition on RBD", add_rewrite}, 1},
    {{"migrate",
      "Move a virtual machine's disks to Ceph: offline, or live, here or to another host",
      add_migrate},
     1},
    {{"sync", "Bring volumes up to date with a machine that runs on: a warm move", add_sync}, 1},
    {{"cutover", "End a warm move: the machine goes to its volumes", add_cutover}, 1},
    {{"rehearse",
      "Start a copy of a synchronised machine from Ceph, without a network: does it boot?",
      add_rehearse},
     1},
    {{"fleet", "Move the virtual machines of many hosts: a plan, then its jobs on every host",
      add_fleet},
     1},
};

constexpr int kUsageStatus = 2;

int report(const Error& error, int failed) {
  say_line(fmt::format("vmferry: {}", error.what()));
  if (!error.hint().empty()) {
    say_line("hint: " + error.hint());
  }
  return error.kind() == ErrorKind::kUsage ? kUsageStatus : failed;
}

/// The one place where exceptions become messages and an exit status.
int guarded(const std::function<int()>& command, int failed) {
  try {
    return command();
  } catch (const std::exception& exception) {
    return report(as_error(exception), failed);
  }
}

/// A command that was told to stop, and did, has no result but that.
int run(const std::function<int(Session&)>& command, int failed) {
  const auto watched = [&] {
    Session session;
    std::string hint;
    try {
      return command(session);
    } catch (const std::exception& exception) {
      if (session.signal() == 0) {
        throw;
      }
      const Error error = as_error(exception);
      if (error.kind() != ErrorKind::kCancelled) {
        report(error, failed);
      }
      hint = error.kind() == ErrorKind::kCancelled ? error.hint() : "";
    }
    if (can_say_now()) {
      say("vmferry: interrupted\n");
      if (!hint.empty()) {
        say_line("hint: " + hint);
      }
    }
    return 128 + session.signal();
  };
  return guarded(watched, failed);
}

/// Of the program, and of the libraries that it runs with.
std::string versions() {
  const auto one = [](const char* name, const std::string& version) {
    return version.empty() ? fmt::format("without {}", name) : fmt::format("{} {}", name, version);
  };
  return fmt::format("vmferry {}\n{}, {}, {}, {}, {}, {}", kVersion,
                     one("librbd", librbd_version()), one("libvirt", libvirt_version()),
                     one("libguestfs", libguestfs_version()),
                     one("libarchive", libarchive_version()), one("libnbd", libnbd_version()),
                     one("libcurl", libcurl_version()));
}

int print_help(const CLI::App& app, const CLI::ParseError& error) {
  std::ostringstream text;
  app.exit(error, text, text);
  print(text.str());
  return 0;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error) {
  std::string words = "vmferry";
  for (const CLI::App* where = &app; !where->get_subcommands().empty();) {
    where = where->get_subcommands().back();
    words += " " + where->get_name();
  }
  say_line(fmt::format("vmferry: {}", error.what()));
  say_line(fmt::format("hint: see '{} --help'", words));
  return kUsageStatus;
}

/// The name of an option or argument that was given as "", as by a script whose variable is not
/// set: what it would have said counts, so it is not as if it were left out. Empty: there is none.
std::string given_empty(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string>& values = option->results();
    if (std::find(values.begin(), values.end(), "") != values.end()) {
      return option->get_name();
    }
  }
  for (const CLI::App* command : app.get_subcommands()) {
    if (std::string name = given_empty(*command); !name.empty()) {
      return name;
    }
  }
  return {};
}

int empty_value(const std::string& name) {
  say_line(fmt::format("vmferry: {} has an empty value", name));
  say("hint: give it one, or leave it out; is a variable of a script not set?\n");
  return kUsageStatus;
}

int no_command() {
  say("vmferry: no command given\nhint: see 'vmferry --help'\n");
  return kUsageStatus;
}

bool is_command(const std::string& name) {
  return std::any_of(std::begin(kCommands), std::end(kCommands),
                     [&](const Row& row) { return name == row.command.name; });
}

int unknown_command(const std::string& name) {
  say_line(fmt::format("vmferry: no command '{}'", name));
  say("hint: see 'vmferry --help'\n");
  return kUsageStatus;
}

int main(int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-' && !is_command(argv[1])) {
    return unknown_command(argv[1]);
  }
  CLI::App app("vmferry moves virtual-machine disks to Ceph.", "vmferry");
  app.set_version_flag("--version", versions);
  app.require_subcommand(0, 1);
  app.footer("'vmferry COMMAND --help' tells more of one command.");
  std::function<int(Session&)> chosen;
  int failed = 1;
  for (const Row& row : kCommands) {
    CLI::App* command = app.add_subcommand(row.command.name, row.command.summary);
    command->callback([&chosen, &failed, &row, run = row.command.add(*command)] {
      chosen = run;
      failed = row.failed;
    });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      return usage_error(app, error);
    }
    return print_help(app, error);  // --help and --version are thrown, too
  }
  if (!chosen) {
    return no_command();
  }
  if (const std::string name = given_empty(app); !name.empty()) {
    return empty_value(name);
  }
  return run(chosen, failed);
}

/// A call that a cluster or libvirt never answered has a thread, which may still use what exit()
/// takes away.
bool has_other_threads() {
  int threads = 0;
  std::error_code failed;
  for (std::filesystem::directory_iterator task("/proc/self/task", failed), end;
       !failed && task != end; task.increment(failed)) {
    ++threads;
  }
  return threads > 1;
}

}  // namespace
}  // namespace vmferry::cli

int main(int argc, char** argv) {
  using namespace vmferry::cli;
  occupy_standard_descriptors();
  settle_in();
  const int status = guarded([&] { return vmferry::cli::main(argc, argv); }, 1);
  if (has_other_threads()) {
    std::fflush(nullptr);
    std::_Exit(status);
  }
  return status;
}
