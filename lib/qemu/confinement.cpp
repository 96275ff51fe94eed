// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/qemu/confinement.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace vmferry {
namespace {

// Of linux/landlock.h; that of Debian 12 knows version 2 only.
struct RulesetRights {
  uint64_t files = 0;
  uint64_t network = 0;  // since version 4
  uint64_t scopes = 0;   // since version 6
};
constexpr uint64_t kBindAndConnectTcp = 3;
constexpr uint64_t kScopeSocketsAndSignals = 3;

constexpr uint64_t kReadFile = LANDLOCK_ACCESS_FS_READ_FILE;
constexpr uint64_t kDeviceIoctl = 1 << 15;  // since version 5; a disk is asked for its size so
constexpr uint64_t kUse = kReadFile | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE;

constexpr rlim_t kMostMemory = rlim_t{4} << 30;
constexpr rlim_t kLongestFile = 64 << 10;

long landlock_version() {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/// Each version knows more, and refuses what it does not know.
uint64_t all_file_rights(long version) {
  constexpr unsigned kBits[] = {0, 13, 14, 15, 15, 16};  // by version
  const long known = std::clamp<long>(version, 1, std::size(kBits) - 1);
  return (uint64_t{1} << kBits[known]) - 1;
}

size_t rights_size(long version) {
  return version < 4   ? sizeof(uint64_t)
         : version < 6 ? 2 * sizeof(uint64_t)
                       : sizeof(RulesetRights);
}

bool allow(int ruleset, int fd, uint64_t rights) {
  const landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
  return ::syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
}

void allow_path(int ruleset, const std::string& path, uint64_t rights) {
  const UniqueFd fd(::open(path.c_str(), O_PATH | O_CLOEXEC));
  if (fd.valid()) {
    allow(ruleset, fd.get(), rights);
  }
}

/// Where programs and their libraries are; what is not there is left out.
void allow_system(int ruleset, const std::string& program) {
  for (const char* directory : {"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin",
                                "/opt", "/nix/store", "/gnu/store"}) {
    allow_path(ruleset, directory, kUse);
  }
  for (const char* file : {"/etc/ld.so.cache", "/etc/ld.so.preload", "/dev/urandom"}) {
    allow_path(ruleset, file, kReadFile);
  }
  allow_path(ruleset, "/dev/null", kReadFile | LANDLOCK_ACCESS_FS_WRITE_FILE);
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(program, error);
  if (!error) {
    allow_path(ruleset, real.parent_path().string(), kUse);
  }
}

void limit(int resource, rlim_t most) noexcept {
  rlimit now = {};
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &now) != 0) {
    return;
  }
  now.rlim_max = std::min(now.rlim_max, most);
  now.rlim_cur = std::min(now.rlim_cur, most);
  ::setrlimit(static_cast<__rlimit_resource>(resource), &now);
}

/// It opens each file once more.
void allow_descriptors() noexcept {
  rlimit now = {};
  if (::getrlimit(RLIMIT_NOFILE, &now) == 0) {
    now.rlim_cur = now.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
}

/// Root gets all that is in the bounding set back when it calls exec().
void drop_capabilities() noexcept {
  constexpr int kMost = 63;
  for (int capability = 0; capability <= kMost; ++capability) {
    if (capability != CAP_DAC_READ_SEARCH) {
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
  }
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2] = {};
  data[0].effective = data[0].permitted = 1U << CAP_DAC_READ_SEARCH;
  ::syscall(SYS_capset, &header, &data);
}

}  // namespace

Confinement::Confinement(const std::string& program, const std::vector<int>& files) {
  const long version = landlock_version();
  if (version < 1) {
    return;  // the kernel has none
  }
  const RulesetRights rights = {.files = all_file_rights(version),
                                .network = kBindAndConnectTcp,
                                .scopes = kScopeSocketsAndSignals};
  UniqueFd ruleset(
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &rights, rights_size(version), 0)));
  if (!ruleset.valid()) {
    return;
  }
  allow_system(ruleset.get(), program);
  // What is in memory only has no place that Landlock could judge.
  for (const int file : files) {
    allow(ruleset.get(), file, kReadFile | (all_file_rights(version) & kDeviceIoctl));
  }
  ruleset_ = std::move(ruleset);
}

void Confinement::put_on() const noexcept {
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, kLongestFile);
  limit(RLIMIT_AS, kMostMemory);
  allow_descriptors();
  if (::geteuid() == 0) {
    ::unshare(CLONE_NEWNET);
    drop_capabilities();
  }
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  if (ruleset_.valid()) {
    ::syscall(SYS_landlock_restrict_self, ruleset_.get(), 0);
  }
}

}  // namespace vmferry
