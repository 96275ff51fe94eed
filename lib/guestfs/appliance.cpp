// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/guestfs/appliance.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <sstream>

#include "lib/core/threads.h"
#include "lib/core/unique_fd.h"
#include "lib/store/file/file_text.h"

namespace vmferry {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kLook = std::chrono::milliseconds(100);
// A kernel under KVM says its first word within a second of QEMU's start. There are machines with a
// /dev/kvm that opens and a guest that never runs, and no error to tell.
constexpr auto kPatience = std::chrono::seconds(6);
constexpr auto kGrace = std::chrono::seconds(3);  // for QEMU to close its files
constexpr const char* kSettings = "LIBGUESTFS_BACKEND_SETTINGS";
constexpr const char* kForceEmulation = "force_tcg";

bool user_forces_emulation() {
  const char* settings = std::getenv(kSettings);
  return settings != nullptr && std::strstr(settings, kForceEmulation) != nullptr;
}

bool may_use_kvm() { return ::access("/dev/kvm", R_OK | W_OK) == 0; }

/// Our child processes that are QEMU.
std::set<int> qemu_children() {
  std::set<int> found;
  std::error_code error;
  for (const auto& thread : fs::directory_iterator("/proc/self/task", error)) {
    std::istringstream children(read_small_file((thread.path() / "children").string()).text);
    for (int pid = 0; children >> pid;) {
      if (read_small_file(fmt::format("/proc/{}/comm", pid)).text.starts_with("qemu")) {
        found.insert(pid);
      }
    }
  }
  return found;
}

/// What the appliance's console said, as far as it matters to who waits for it.
struct Console {
  bool echo = false;  // who asked for LIBGUESTFS_DEBUG wants to see it
  std::atomic<bool> kernel_runs = false;
};

void on_console(guestfs_h* /*handle*/, void* opaque, uint64_t event, int /*id*/, int /*flags*/,
                const char* text, size_t length, const uint64_t* /*array*/, size_t /*array_len*/) {
  auto* console = static_cast<Console*>(opaque);
  if (console->echo) {
    std::fwrite(text, 1, length, stderr);
  }
  if (event != GUESTFS_EVENT_APPLIANCE) {
    return;
  }
  if (std::string_view(text, length).find("Linux version") != std::string_view::npos) {
    console->kernel_runs = true;
  }
}

void end_process(int pid) {
  if (pid > 0) {
    ::kill(pid, SIGKILL);
  }
}

std::string hint_for_launch(const std::string& cause) {
  if (cause.find("supermin") != std::string::npos) {
    return "the appliance needs a kernel that this user may read: on Debian install "
           "linux-image-cloud-amd64, on Ubuntu 'chmod +r /boot/vmlinuz-*'; "
           "libguestfs-test-tool shows more";
  }
  return "libguestfs-test-tool shows why, and so does LIBGUESTFS_DEBUG=1";
}

}  // namespace

GuestfsStrings::~GuestfsStrings() {
  if (list_ == nullptr) {
    return;
  }
  for (char** at = list_; *at != nullptr; ++at) {
    std::free(*at);
  }
  std::free(list_);
}

std::vector<std::string> GuestfsStrings::all() const {
  std::vector<std::string> strings;
  if (list_ == nullptr) {
    return strings;
  }
  for (char** at = list_; *at != nullptr; ++at) {
    strings.emplace_back(*at);
  }
  return strings;
}

std::vector<std::pair<std::string, std::string>> GuestfsStrings::pairs() const {
  const std::vector<std::string> flat = all();
  std::vector<std::pair<std::string, std::string>> table;
  for (size_t i = 0; i + 1 < flat.size(); i += 2) {
    table.emplace_back(flat[i], flat[i + 1]);
  }
  return table;
}

std::string take_string(char* text) {
  if (text == nullptr) {
    return {};
  }
  std::string copy = text;
  std::free(text);
  return copy;
}

Appliance::Appliance(std::string object, const ApplianceDisk& disk, std::stop_token stop)
    : object_(std::move(object)), stop_(std::move(stop)) {
  emulated_ = user_forces_emulation() || !may_use_kvm();
  handle_ = make_handle(disk, emulated_);
  if (!launch(handle_.get(), !emulated_)) {
    emulated_ = gave_up_kvm_ = true;
    handle_ = make_handle(disk, true);
    launch(handle_.get(), false);
  }
  qemu_pid_ = guestfs_get_pid(handle_.get());
  stopper_ = start_thread([this](std::stop_token end) {
    while (!end.stop_requested() && !stop_.stop_requested()) {
      std::this_thread::sleep_for(kLook);
    }
    if (end.stop_requested()) {
      return;
    }
    // In order first: a qcow2 image should be closed, not dropped.
    if (qemu_pid_ > 0) {
      ::kill(qemu_pid_, SIGTERM);
    }
    for (const auto until = Clock::now() + kGrace; Clock::now() < until;) {
      if (end.stop_requested()) {
        return;
      }
      std::this_thread::sleep_for(kLook);
    }
    end_process(qemu_pid_);
  });
}

Appliance::~Appliance() {
  stopper_.request_stop();
  if (stopper_.joinable()) {
    stopper_.join();
  }
}

Appliance::Handle Appliance::make_handle(const ApplianceDisk& disk, bool force_emulation) const {
  Handle handle(guestfs_create());
  if (!handle) {
    throw errno_error(errno, object_, "start libguestfs");
  }
  guestfs_h* g = handle.get();
  guestfs_set_error_handler(g, nullptr, nullptr);  // or it would print
  guestfs_set_program(g, "vmferry");
  guestfs_set_pgroup(g, 1);  // Ctrl-C is for us to handle
  if (std::getenv("LIBGUESTFS_BACKEND") == nullptr) {
    guestfs_set_backend(g, "direct");
  }
  if (force_emulation) {
    guestfs_set_backend_setting(g, kForceEmulation, "1");
  }
  if (guestfs_add_drive_opts(g, disk.path.c_str(), GUESTFS_ADD_DRIVE_OPTS_FORMAT,
                             disk.format.c_str(), GUESTFS_ADD_DRIVE_OPTS_DISCARD, "enable",
                             -1) != 0) {
    const char* cause = guestfs_last_error(g);
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = object_,
                 .action = "give it to libguestfs",
                 .cause = cause == nullptr ? "unknown" : cause});
  }
  return handle;
}

bool Appliance::launch(guestfs_h* handle, bool may_give_up) {
  Console console;
  console.echo = guestfs_get_verbose(handle) == 1;
  int events = -1;
  if (may_give_up) {
    // Only a kernel that talks shows that it runs. Our function takes the place of standard error.
    guestfs_set_verbose(handle, 1);
    events = guestfs_set_event_callback(
        handle, on_console, GUESTFS_EVENT_APPLIANCE | GUESTFS_EVENT_LIBRARY, 0, &console);
  }
  const std::set<int> not_ours = qemu_children();
  std::atomic<bool> gave_up = false;
  std::jthread watch = start_thread([&](std::stop_token end) {
    int qemu = 0;
    Clock::time_point seen;
    for (; !end.stop_requested(); std::this_thread::sleep_for(kLook)) {
      try {
        for (const int pid : qemu_children()) {
          if (qemu != 0 || not_ours.contains(pid)) {
            continue;
          }
          qemu = pid;
          seen = Clock::now();
        }
      } catch (const std::exception&) {
        continue;  // /proc could not be read, or memory is short: the next look may tell
      }
      if (qemu == 0) {
        continue;
      }
      const bool silent = events >= 0 && !console.kernel_runs && Clock::now() - seen > kPatience;
      if (!silent && !stop_.stop_requested()) {
        continue;
      }
      gave_up = silent;
      end_process(qemu);
      return;
    }
  });
  const int rc = guestfs_launch(handle);
  watch.request_stop();
  watch.join();
  if (events >= 0) {
    guestfs_delete_event_callback(handle, events);
    guestfs_set_verbose(handle, console.echo ? 1 : 0);
  }
  if (rc == 0) {
    return true;
  }
  if (stop_.stop_requested()) {
    throw cancelled_error();
  }
  if (gave_up || may_give_up) {
    return false;
  }
  const char* cause = guestfs_last_error(handle);
  const std::string words = cause == nullptr ? "no reason given" : cause;
  throw Error({.kind = words.find("lock") != std::string::npos ? ErrorKind::kConflict
                                                               : ErrorKind::kUnsupported,
               .object = object_,
               .action = "start the libguestfs appliance",
               .cause = words,
               .hint = hint_for_launch(words)});
}

std::string Appliance::shell(const std::string& command) {
  std::string text = command;
  char* arguments[] = {text.data(), nullptr};
  char* printed = guestfs_debug(get(), "sh", arguments);
  if (printed == nullptr) {
    throw last_error("look into the guest's disk");
  }
  return take_string(printed);
}

void Appliance::upload(const std::string& content, const std::string& path) {
  const UniqueFd file(::memfd_create("vmferry", MFD_CLOEXEC));
  if (!file.valid()) {
    throw errno_error(errno, object_, "make a file in memory");
  }
  if (::write(file.get(), content.data(), content.size()) != std::ssize(content)) {
    throw errno_error(errno, object_, "write a file in memory");
  }
  const std::string name = fmt::format("/proc/self/fd/{}", file.get());
  constexpr int kOwnerReads = 0400;
  if (guestfs_debug_upload(get(), name.c_str(), path.c_str(), kOwnerReads) != 0) {
    throw last_error("give a file to the appliance");
  }
}

std::string Appliance::kernel_name(const std::string& device) {
  constexpr std::string_view kOurs = "/dev/sda";
  if (!device.starts_with(kOurs)) {
    return device;
  }
  if (disk_.empty()) {
    // There are two disks: the one that the appliance itself lies on, and ours.
    disk_ = shell(
        "own=$(mountpoint -d /); for disk in /sys/block/sd*; do "
        "[ \"$(cat $disk/dev)\" = \"$own\" ] || echo \"/dev/${disk##*/}\"; done");
    if (disk_.ends_with('\n')) {
      disk_.pop_back();
    }
  }
  return disk_ + device.substr(kOurs.size());
}

void Appliance::sync() {
  if (guestfs_sync(get()) != 0) {
    throw last_error("flush");
  }
}

Error Appliance::last_error(std::string action) const {
  if (stop_.stop_requested()) {
    return cancelled_error();
  }
  const char* cause = guestfs_last_error(get());
  return Error({.kind = ErrorKind::kIo,
                .object = object_,
                .action = std::move(action),
                .cause = cause == nullptr ? "libguestfs gives no reason" : cause});
}

void Appliance::shut_down() {
  stopper_.request_stop();
  stopper_.join();
  const int rc = guestfs_shutdown(get());
  if (stop_.stop_requested()) {
    throw cancelled_error();
  }
  if (rc != 0) {
    throw last_error("close the libguestfs appliance");
  }
}

void create_overlay(const std::string& path, const ApplianceDisk& backing, int cluster_size) {
  const std::unique_ptr<guestfs_h, void (*)(guestfs_h*)> handle(guestfs_create(), guestfs_close);
  if (!handle) {
    throw errno_error(errno, path, "start libguestfs");
  }
  guestfs_set_error_handler(handle.get(), nullptr, nullptr);
  if (guestfs_disk_create(handle.get(), path.c_str(), "qcow2", -1, GUESTFS_DISK_CREATE_BACKINGFILE,
                          backing.path.c_str(), GUESTFS_DISK_CREATE_BACKINGFORMAT,
                          backing.format.c_str(), GUESTFS_DISK_CREATE_COMPAT, "1.1",
                          GUESTFS_DISK_CREATE_CLUSTERSIZE, cluster_size, -1) == 0) {
    return;
  }
  const char* cause = guestfs_last_error(handle.get());
  throw Error({.kind = ErrorKind::kIo,
               .object = path,
               .action = "make an overlay over " + backing.path,
               .cause = cause == nullptr ? "libguestfs gives no reason" : cause});
}

}  // namespace vmferry
