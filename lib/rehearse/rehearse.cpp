// SPDX-License-Identifier: LGPL-2.1-or-later
#include "vmferry/rehearse.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

#include "lib/core/format_bytes.h"
#include "lib/rehearse/copy_definition.h"
#include "lib/rehearse/copy_watch.h"
#include "lib/rehearse/random_names.h"
#include "lib/rehearse/rehearsal_end.h"
#include "lib/rehearse/rehearsal_record.h"
#include "vmferry/error.h"

namespace vmferry {
namespace rehearsal {
namespace {

constexpr const char* kSuffix = "-rehearsal";
/// libvirt takes a volume for the UEFI variables of a guest since 8.5.
constexpr unsigned long kVolumeForVariables = 8'005'000;

Error cannot(ErrorKind kind, const std::string& domain, std::string cause, std::string hint = {}) {
  return Error({.kind = kind,
                .object = "domain " + domain,
                .action = "rehearse",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

void tell(const RehearsalContext& context, const std::string& text) {
  if (context.step) {
    context.step(text);
  }
}

class RehearsalRun {
 public:
  RehearsalRun(const RehearsalRequest& request, const RehearsalContext& context)
      : request_(request), context_(context), record_(request.domain, context.state_dir) {}

  RehearsalReport run() {
    if (record_.left()) {
      clear_left(request_.domain, record_, context_);
    }
    prepare();
    std::exception_ptr failure;
    try {
      record_.write(things_);
      make_volumes();
      start();
    } catch (const std::exception&) {
      failure = std::current_exception();
    }
    end();
    if (failure) {
      rethrow(failure);
    }
    return std::move(report_);
  }

 private:
  /// Everything that can be refused before anything is made.
  void prepare() {
    host_ = context_.connect(request_.target());
    const HostFacts facts = host_->facts();
    const Domain guest = read_guest();
    traits_.name = request_.domain + kSuffix;
    traits_.uuid = random_uuid();
    traits_.memory = request_.memory;
    // libvirt's own choice may be another one for whoever clears up.
    things_ = {.uri = request_.target().empty() ? facts.uri : request_.target(),
               .name = traits_.name,
               .uuid = traits_.uuid,
               .ceph = request_.ceph,
               .volumes = {}};
    for (const RehearsedDisk& disk : request_.disks) {
      traits_.disks[disk.dev] = place_of(add_volume(disk.volume.pool, disk.volume.image));
      report_.snapshots.push_back(disk.volume.display() + "@" + disk.snapshot);
    }
    if (guest.has_nvram) {
      require_variables(guest, facts);
      const VolumeName& first = request_.disks.front().volume;
      traits_.nvram = place_of(add_volume(first.pool, first.image + "-nvram"));
      nvram_path_ = guest.nvram_path;
    }
    copy_ = copy_definition(guest, traits_);
    report_.name = traits_.name;
    report_.host = facts.hostname;
    report_.memory = copy_.memory;
    report_.left_out = copy_.left_out;
    report_.sign = choose_sign();
    require_same_volumes();
    require_room(facts);
    host_->validate(copy_.text);
  }

  Domain read_guest() const {
    const std::shared_ptr<Host> source =
        request_.target() == request_.from ? host_ : context_.connect(request_.from);
    const std::shared_ptr<Guest> guest = source->guest(request_.domain);
    const bool kept = guest->persistent();
    if (!request_.uuid.empty() && guest->uuid() != request_.uuid) {
      throw cannot(ErrorKind::kConflict, request_.domain,
                   "it is another machine now: its UUID is not " + request_.uuid,
                   "name the host of the guest that was synchronised with --connect");
    }
    return parse_domain(guest->definition(kept ? DefinitionKind::kMigratablePersistent
                                               : DefinitionKind::kMigratable),
                        "domain " + request_.domain);
  }

  const VolumeName& add_volume(const std::string& pool, const std::string& image) {
    things_.volumes.push_back({.volume = {.pool = pool, .image = image + kSuffix}, .identity = {}});
    return things_.volumes.back().volume;
  }

  RbdTarget place_of(const VolumeName& volume) const {
    return {.pool = volume.pool,
            .image = volume.image,
            .monitors = request_.monitors,
            .id = request_.user,
            .secret_uuid = request_.secret.uuid,
            .secret_usage = request_.secret.usage,
            .conf = request_.ceph_conf};
  }

  /// Another volume of that name may have such a snapshot, too.
  void require_same_volumes() const {
    const std::unique_ptr<RehearsalStorage> volumes = context_.volumes(request_.ceph);
    for (const RehearsedDisk& disk : request_.disks) {
      if (!disk.identity.empty() && volumes->identity(disk.volume) != disk.identity) {
        throw cannot(
            ErrorKind::kConflict, request_.domain,
            disk.volume.display() + " is gone, or another volume than the synchronised one",
            "'rbd info " + disk.volume.ceph_name() + "' shows what it is");
      }
    }
  }

  /// They become a volume beside the clones, which any host can open, and which goes with them; a
  /// file would have to be made and removed on the host of the copy.
  void require_variables(const Domain& guest, const HostFacts& facts) const {
    if (guest.nvram_path.empty()) {
      throw cannot(ErrorKind::kUnsupported, request_.domain,
                   "its UEFI variables are in no file of its host",
                   "start it once, so that libvirt makes the file");
    }
    if (facts.libvirt < kVolumeForVariables) {
      throw cannot(ErrorKind::kUnsupported, request_.domain,
                   "it has UEFI variables, and libvirt takes a copy of them on RBD since 8.5 only",
                   "name a host with a later one with --to");
    }
  }

  UpSign choose_sign() const {
    if (request_.sign == UpSign::kAgent && !copy_.has_agent) {
      throw cannot(ErrorKind::kUsage, request_.domain, "it has no channel to a guest agent",
                   "wait for another sign: --wait login, or --wait SECONDS");
    }
    if (request_.sign == UpSign::kLogin && !copy_.has_console) {
      throw cannot(ErrorKind::kUsage, request_.domain, "it has no serial console",
                   "wait for another sign: --wait agent, or --wait SECONDS");
    }
    if (request_.sign != UpSign::kAuto) {
      return request_.sign;
    }
    return copy_.has_agent ? UpSign::kAgent : copy_.has_console ? UpSign::kLogin : UpSign::kRunning;
  }

  /// A host without memory kills processes, maybe that of the guest.
  void require_room(const HostFacts& facts) const {
    if (host_->guest(traits_.name)->state() != DomainState::kAbsent) {
      throw cannot(ErrorKind::kConflict, request_.domain,
                   facts.hostname + " has a machine " + traits_.name +
                       " already, which no rehearsal that is known started",
                   "rename it (virsh domrename), or name another host with --to");
    }
    const std::optional<uint64_t> free = host_->free_memory();
    if (free && copy_.memory > *free) {
      throw cannot(ErrorKind::kConflict, request_.domain,
                   fmt::format("its copy needs {} of memory, and {} has {}",
                               about_bytes(copy_.memory), facts.hostname, about_bytes(*free)),
                   "give it less with --memory, or name another host with --to");
    }
  }

  void make_volumes() {
    const std::unique_ptr<RehearsalStorage> volumes = context_.volumes(request_.ceph);
    for (size_t i = 0; i < things_.volumes.size(); ++i) {
      RehearsalVolume& one = things_.volumes[i];
      const auto made = [&](const std::string& identity) {
        one.identity = identity;
        record_.write(things_);
      };
      if (context_.stop.stop_requested()) {
        throw cancelled_error();
      }
      if (i < request_.disks.size()) {
        const RehearsedDisk& disk = request_.disks[i];
        tell(context_, fmt::format("cloning {}", report_.snapshots[i]));
        volumes->clone(disk.volume, disk.snapshot, one.volume, made);
      } else {
        tell(context_, "copying its UEFI variables");
        volumes->copy_file(nvram_path_, one.volume, made);
      }
    }
  }

  void start() {
    tell(context_, fmt::format("starting {} on {}", report_.name, report_.host));
    const auto started = context_.now();
    host_->run_transient(copy_.text);
    const std::shared_ptr<Guest> guest = host_->guest(traits_.name);
    tell(context_, waiting());
    const WatchedCopy seen =
        watch_copy(*guest, report_.sign, request_, context_, copy_.has_console, started);
    report_.came_up = seen.why_not.empty();
    report_.why_not = seen.why_not;
    report_.seconds = seen.seconds;
    report_.console = seen.console;
    if (request_.screenshot) {
      look(*guest);
    }
  }

  std::string waiting() const {
    return report_.sign == UpSign::kAgent ? "waiting for its agent"
           : report_.sign == UpSign::kLogin
               ? "waiting for a login prompt"
               : fmt::format("letting it run for {} s", request_.running.count());
  }

  void look(Guest& guest) {
    if (!copy_.has_screen) {
      report_.no_screenshot = "it has no screen";
      return;
    }
    try {
      report_.screenshot = guest.screenshot();
    } catch (const Error& error) {
      report_.no_screenshot = error.parts().cause;
    }
  }

  void end() {
    tell(context_, "removing the copy");
    RehearsalEnd end(things_, context_);
    end.stop_copy();
    report_.written = end.written();
    end.remove_volumes();
    report_.left = end.left();
    if (report_.left.empty()) {
      record_.remove();
    }
  }

  [[noreturn]] void rethrow(const std::exception_ptr& failure) const {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      if (report_.left.empty()) {
        throw;
      }
      ErrorParts parts = error.parts();
      parts.cause += "; and this could not be removed: " + report_.left.front();
      parts.hint = cleaning_hint(request_.domain);
      throw Error(std::move(parts));
    }
  }

  const RehearsalRequest& request_;
  const RehearsalContext& context_;
  const RehearsalRecord record_;
  std::shared_ptr<Host> host_;
  CopyTraits traits_;
  CopyDefinition copy_;
  RehearsalThings things_;
  std::string nvram_path_;
  RehearsalReport report_;
};

}  // namespace
}  // namespace rehearsal

RehearsalReport rehearse(const RehearsalRequest& request, const RehearsalContext& context) {
  if (request.disks.empty()) {
    throw rehearsal::cannot(ErrorKind::kUsage, request.domain, "no disk is named");
  }
  constexpr uint64_t kLeastMemory = 1 << 20;
  if (request.memory && *request.memory < kLeastMemory) {
    throw rehearsal::cannot(ErrorKind::kUsage, request.domain,
                            "no guest runs with " + about_bytes(*request.memory) + " of memory",
                            "write it with a unit: --memory 512M");
  }
  return rehearsal::RehearsalRun(request, context).run();
}

bool clean_rehearsal(const std::string& domain, const RehearsalContext& context) {
  const rehearsal::RehearsalRecord record(domain, context.state_dir);
  if (!record.left()) {
    return false;
  }
  rehearsal::clear_left(domain, record, context);
  return true;
}

}  // namespace vmferry
