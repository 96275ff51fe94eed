// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/libvirt_host.h"

#include <fmt/format.h>
#include <libvirt/virterror.h>
#include <tinyxml2.h>

#include <mutex>

#include "lib/core/shell_word.h"
#include "lib/core/threads.h"
#include "lib/libvirt/rbd_driver.h"
#include "vmferry/version.h"

namespace vmferry::libvirt {
namespace {

constexpr int kKeepaliveSeconds = 5;
constexpr unsigned kKeepalivesLost = 6;

/// libvirt's event loop, without which a connection to a dead host is never noticed.
void start_event_loop() {
  static std::once_flag once;
  std::call_once(once, [] {
    virInitialize();
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // libvirt would print every error
    virEventRegisterDefaultImpl();
    start_thread([] {
      while (virEventRunDefaultImpl() == 0) {
      }
    }).detach();
  });
}

/// Frees the list, and what is in it.
template <typename Pointer, typename Object>
std::vector<std::string> names_of(Object** list, int number, const char* (*name)(Object*)) {
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(number));
  for (int i = 0; i < number; ++i) {
    names.emplace_back(name(Pointer(list[i]).get()));
  }
  free(list);
  return names;
}

}  // namespace

LibvirtHost::LibvirtHost(const std::string& uri) : uri_(uri) {
  start_event_loop();
  connection_.reset(virConnectOpen(uri.empty() ? nullptr : uri.c_str()));
  if (!connection_) {
    throw libvirt_error(uri.empty() ? "libvirt" : uri, "connect",
                        "is libvirtd running there, and may you talk to it? "
                        "'virsh -c URI list' tells");
  }
  virConnectSetKeepAlive(connection_.get(), kKeepaliveSeconds, kKeepalivesLost);
  const Text real(virConnectGetURI(connection_.get()));
  if (real) {
    uri_ = real.get();
  }
}

HostFacts LibvirtHost::facts() {
  HostFacts facts;
  facts.uri = uri_;
  const Text hostname(virConnectGetHostname(connection_.get()));
  if (!hostname) {
    throw libvirt_error(uri_, "ask for the host's name");
  }
  facts.hostname = hostname.get();
  if (virConnectGetLibVersion(connection_.get(), &facts.libvirt) != 0 ||
      virConnectGetVersion(connection_.get(), &facts.hypervisor) != 0) {
    throw libvirt_error(uri_, "ask for versions");
  }
  facts.uuid = host_uuid();
  // "qemu:///system", "qemu+unix:///system?socket=...": no host between the slashes.
  facts.local = uri_.find(":///") != std::string::npos;
  if (facts.local) {
    facts.rbd_driver = local_rbd_driver();
  }
  return facts;
}

DomainState LibvirtHost::state(const std::string& domain) {
  const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
  if (!found) {
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return DomainState::kAbsent;
    }
    throw libvirt_error(label(domain), "look up");
  }
  int state = 0;
  if (virDomainGetState(found.get(), &state, nullptr, 0) != 0) {
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return DomainState::kAbsent;  // it went just now
    }
    throw libvirt_error(label(domain), "ask for its state");
  }
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
      return DomainState::kRunning;
    case VIR_DOMAIN_PAUSED:
      return DomainState::kPaused;
    case VIR_DOMAIN_SHUTOFF:
      return DomainState::kShutOff;
    default:
      return DomainState::kOther;
  }
}

bool LibvirtHost::persistent(const std::string& domain) {
  return answer(virDomainIsPersistent(find(domain).get()), domain, "ask whether it is defined");
}

std::string LibvirtHost::definition(const std::string& domain, DefinitionKind kind) {
  unsigned flags = VIR_DOMAIN_XML_SECURE;
  if (kind == DefinitionKind::kPersistent || kind == DefinitionKind::kMigratablePersistent) {
    flags |= VIR_DOMAIN_XML_INACTIVE;
  }
  if (kind == DefinitionKind::kMigratable || kind == DefinitionKind::kMigratablePersistent) {
    flags |= VIR_DOMAIN_XML_MIGRATABLE;
  }
  const Text text(virDomainGetXMLDesc(find(domain).get(), flags));
  if (!text) {
    throw libvirt_error(label(domain), "read its definition");
  }
  return text.get();
}

std::string LibvirtHost::uuid_of(const std::string& domain) {
  const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
  if (!found && last_code() == VIR_ERR_NO_DOMAIN) {
    return {};
  }
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  if (!found || virDomainGetUUIDString(found.get(), uuid) != 0) {
    throw libvirt_error(label(domain), "look up");
  }
  return uuid;
}

std::vector<std::string> LibvirtHost::domains() { return list_domains(0); }

std::vector<std::string> LibvirtHost::active_domains() {
  return list_domains(VIR_CONNECT_LIST_DOMAINS_ACTIVE);
}

std::string LibvirtHost::name_of_uuid(const std::string& uuid) {
  const DomainPtr found(virDomainLookupByUUIDString(connection_.get(), uuid.c_str()));
  if (found) {
    return virDomainGetName(found.get());
  }
  if (last_code() == VIR_ERR_NO_DOMAIN) {
    return {};
  }
  throw libvirt_error(uri_, "look up UUID " + uuid);
}

DiskSizes LibvirtHost::disk_sizes(const std::string& domain, const std::string& dev) {
  virDomainBlockInfo info = {};
  if (virDomainGetBlockInfo(find(domain).get(), dev.c_str(), &info, 0) != 0) {
    throw libvirt_error(label(domain), "ask for the size of " + dev);
  }
  return {.capacity = info.capacity, .allocation = info.allocation};
}

unsigned LibvirtHost::snapshots(const std::string& domain) {
  return count(virDomainSnapshotNum(find(domain).get(), 0), domain, "count its snapshots");
}

std::vector<std::string> LibvirtHost::checkpoints(const std::string& domain) {
  virDomainCheckpointPtr* list = nullptr;
  const int number = virDomainListAllCheckpoints(find(domain).get(), &list, 0);
  if (number < 0 && last_code() == VIR_ERR_NO_SUPPORT) {
    return {};
  }
  check(number, domain, "list its checkpoints");
  return names_of<CheckpointPtr>(list, number, virDomainCheckpointGetName);
}

bool LibvirtHost::was_saved(const std::string& domain) {
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  check(virDomainGetState(find(domain).get(), &state, &reason, 0), domain, "ask for its state");
  return state == VIR_DOMAIN_SHUTOFF && (reason == VIR_DOMAIN_SHUTOFF_SAVED ||
                                         answer(virDomainHasManagedSaveImage(find(domain).get(), 0),
                                                domain, "ask for a managed save"));
}

bool LibvirtHost::has_job(const std::string& domain) {
  virDomainJobInfo job = {};
  const DomainPtr found = find(domain);
  if (virDomainIsActive(found.get()) != 1) {
    return false;
  }
  if (virDomainGetJobInfo(found.get(), &job) != 0) {
    throw libvirt_error(label(domain), "ask for running jobs");
  }
  return job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED;
}

bool LibvirtHost::busy(const std::string& domain) {
  virDomainControlInfo control = {};
  const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
  if (!found || virDomainIsActive(found.get()) != 1) {
    return false;
  }
  if (virDomainGetControlInfo(found.get(), &control, 0) != 0) {
    const int code = last_code();  // it may have gone just now
    if (code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID) {
      return false;
    }
    throw libvirt_error(label(domain), "ask whether libvirt is busy with it");
  }
  switch (control.state) {
    case VIR_DOMAIN_CONTROL_JOB:
    case VIR_DOMAIN_CONTROL_OCCUPIED:
      return true;
    case VIR_DOMAIN_CONTROL_ERROR:
      // What virsh domcontrol calls an "internal (locking) error" is a call that waits for an
      // event of QEMU's, such as the end of the job that it pivots.
      return control.details == VIR_DOMAIN_CONTROL_ERROR_REASON_INTERNAL;
    default:
      return false;
  }
}

bool LibvirtHost::autostart(const std::string& domain) {
  int on = 0;
  if (virDomainGetAutostart(find(domain).get(), &on) != 0) {
    throw libvirt_error(label(domain), "ask for its autostart");
  }
  return on != 0;
}

void LibvirtHost::set_autostart(const std::string& domain, bool on) {
  check(virDomainSetAutostart(find(domain).get(), on ? 1 : 0), domain, "set its autostart");
}

bool LibvirtHost::agent_answers(const std::string& domain) {
  long long seconds = 0;
  unsigned nanoseconds = 0;
  return virDomainGetTime(find(domain).get(), &seconds, &nanoseconds, 0) == 0;
}

void LibvirtHost::define(const std::string& definition) {
  const DomainPtr made(virDomainDefineXMLFlags(connection_.get(), definition.c_str(), 0));
  if (!made) {
    throw libvirt_error(uri_, "define the domain");
  }
}

void LibvirtHost::undefine(const std::string& domain) {
  const DomainPtr found = find(domain);
  constexpr unsigned kAlways =
      VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
  unsigned flags = kAlways;
#ifdef LIBVIR_CHECK_VERSION
#if LIBVIR_CHECK_VERSION(8, 9, 0)
  flags |= VIR_DOMAIN_UNDEFINE_KEEP_TPM;
#endif
#endif
  if (virDomainUndefineFlags(found.get(), flags) == 0) {
    return;
  }
  check(virDomainUndefineFlags(found.get(), kAlways), domain, "undefine");
}

void LibvirtHost::start(const std::string& domain, bool paused) {
  check(virDomainCreateWithFlags(find(domain).get(), paused ? VIR_DOMAIN_START_PAUSED : 0), domain,
        "start");
}

void LibvirtHost::shut_down(const std::string& domain) {
  check(virDomainShutdown(find(domain).get()), domain, "shut down");
}

void LibvirtHost::destroy(const std::string& domain) {
  check(virDomainDestroy(find(domain).get()), domain, "force off");
}

void LibvirtHost::validate(const std::string& definition) {
  const Text native(
      virConnectDomainXMLToNative(connection_.get(), "qemu-argv", definition.c_str(), 0));
  if (!native) {
    throw libvirt_error(uri_, "check the definition");
  }
}

bool LibvirtHost::network_active(const std::string& network) {
  const NetworkPtr found(virNetworkLookupByName(connection_.get(), network.c_str()));
  if (!found && last_code() == VIR_ERR_NO_NETWORK) {
    return false;
  }
  if (!found) {
    throw libvirt_error(uri_, "look up network " + network);
  }
  return virNetworkIsActive(found.get()) == 1;
}

std::string LibvirtHost::volume_path(const std::string& pool, const std::string& volume) {
  const PoolPtr found(virStoragePoolLookupByName(connection_.get(), pool.c_str()));
  if (!found) {
    throw libvirt_error(uri_, "look up storage pool " + pool);
  }
  const VolumePtr inside(virStorageVolLookupByName(found.get(), volume.c_str()));
  if (!inside) {
    throw libvirt_error(uri_, "look up volume " + volume + " of pool " + pool);
  }
  const Text path(virStorageVolGetPath(inside.get()));
  if (!path) {
    throw libvirt_error(uri_, "ask where volume " + volume + " is");
  }
  return path.get();
}

std::vector<std::string> LibvirtHost::list_domains(unsigned flags) {
  virDomainPtr* list = nullptr;
  const int number = virConnectListAllDomains(connection_.get(), &list, flags);
  if (number < 0) {
    throw libvirt_error(uri_, "list the domains");
  }
  return names_of<DomainPtr>(list, number, virDomainGetName);
}

DomainPtr LibvirtHost::find(const std::string& domain) {
  DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
  if (!found) {
    throw libvirt_error(label(domain), "look up",
                        "list them: virsh -c " + shell_word(uri_) + " list --all");
  }
  return found;
}

void LibvirtHost::check(int rc, const std::string& domain, const std::string& action) {
  if (rc < 0) {
    throw libvirt_error(label(domain), action);
  }
}

bool LibvirtHost::answer(int rc, const std::string& domain, const std::string& action) {
  check(rc, domain, action);
  return rc == 1;
}

unsigned LibvirtHost::count(int rc, const std::string& domain, const std::string& action) {
  check(rc, domain, action);
  return static_cast<unsigned>(rc);
}

std::string LibvirtHost::host_uuid() {
  const Text text(virConnectGetCapabilities(connection_.get()));
  tinyxml2::XMLDocument document;
  if (!text || document.Parse(text.get()) != tinyxml2::XML_SUCCESS) {
    return {};
  }
  const auto* uuid = tinyxml2::XMLConstHandle(document)
                         .FirstChildElement("capabilities")
                         .FirstChildElement("host")
                         .FirstChildElement("uuid")
                         .ToElement();
  return uuid && uuid->GetText() ? uuid->GetText() : "";
}

}  // namespace vmferry::libvirt

namespace vmferry {

std::shared_ptr<Hypervisor> connect_hypervisor(const std::string& uri) {
  return std::make_shared<libvirt::LibvirtHost>(uri);
}

std::string libvirt_version() {
  unsigned long number = 0;  // major * 1,000,000 + minor * 1,000 + release
  if (virGetVersion(&number, nullptr, nullptr) != 0) {
    return "unknown";
  }
  return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
}

}  // namespace vmferry
