// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/libvirt_host.h"

#include <fmt/format.h>
#include <libvirt/virterror.h>
#include <tinyxml2.h>

#include <mutex>
#include <string_view>

#include "lib/core/threads.h"
#include "lib/libvirt/libvirt_guest.h"
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

}  // namespace

LibvirtHost::LibvirtHost(const std::string& uri) : uri_(uri) {
  start_event_loop();
  connection_ = OpenConnection(virConnectOpen(uri.empty() ? nullptr : uri.c_str()));
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

std::shared_ptr<Guest> LibvirtHost::guest(const std::string& name) {
  return std::make_shared<LibvirtGuest>(connection_, uri_, name);
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

void LibvirtHost::define(const std::string& definition) {
  const DomainPtr made(virDomainDefineXMLFlags(connection_.get(), definition.c_str(), 0));
  if (!made) {
    throw libvirt_error(uri_, "define the domain");
  }
}

void LibvirtHost::run_transient(const std::string& definition) {
  const DomainPtr made(
      virDomainCreateXML(connection_.get(), definition.c_str(), VIR_DOMAIN_START_AUTODESTROY));
  if (!made) {
    throw libvirt_error(uri_, "start the domain");
  }
}

void LibvirtHost::validate(const std::string& definition) {
  const Text native(
      virConnectDomainXMLToNative(connection_.get(), "qemu-argv", definition.c_str(), 0));
  if (!native) {
    throw libvirt_error(uri_, "check the definition");
  }
}

std::optional<uint64_t> LibvirtHost::free_memory() {
  int count = 0;
  constexpr int kWhole = VIR_NODE_MEMORY_STATS_ALL_CELLS;
  if (virNodeGetMemoryStats(connection_.get(), kWhole, nullptr, &count, 0) != 0) {
    return std::nullopt;
  }
  std::vector<virNodeMemoryStats> stats(static_cast<size_t>(count));
  if (virNodeGetMemoryStats(connection_.get(), kWhole, stats.data(), &count, 0) != 0) {
    return std::nullopt;
  }
  constexpr uint64_t kKiB = 1024;
  uint64_t bytes = 0;
  for (const virNodeMemoryStats& entry : stats) {
    const std::string_view field = entry.field;
    if (field == VIR_NODE_MEMORY_STATS_FREE || field == VIR_NODE_MEMORY_STATS_CACHED ||
        field == VIR_NODE_MEMORY_STATS_BUFFERS) {
      bytes += entry.value * kKiB;
    }
  }
  return bytes;
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

std::shared_ptr<Host> connect_host(const std::string& uri) {
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
