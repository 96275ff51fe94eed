// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/api.h"
#include "vmferry/guest.h"

namespace VMFERRY_API vmferry {

/// A Ceph secret: what a guest needs to log in. Exactly one of the two names it.
struct SecretName {
  std::string uuid;
  std::string usage;
};

/// What a libvirt host has under such a name.
struct FoundSecret {
  /// What else it is for, as libvirt calls it ("volume /srv/luks.img"); empty: for Ceph.
  std::string other_use = {};
  bool is_private = false;              ///< libvirt tells nobody its value, nor whether it has one
  std::optional<std::string> key = {};  ///< nothing: it has no value, or a private one
};

struct HostFacts {
  std::string uri;
  std::string hostname;
  std::string uuid;                ///< of the host; "" where it has none
  unsigned long libvirt = 0;       ///< major * 1000000 + minor * 1000 + release
  unsigned long hypervisor = 0;    ///< QEMU's, likewise
  bool local = false;              ///< the connection is to a daemon on this machine
  std::optional<bool> rbd_driver;  ///< has its QEMU one? Nothing: it cannot be told from here
};

/// One libvirt host: the few calls that a migration needs. Every method may be called from any
/// thread, some may take long or hang with the cluster; all of them but guest() throw Error. The
/// real one is lib/libvirt/libvirt_host.cpp; tests have a fake that fails or hangs any call.
class Host {
 public:
  virtual ~Host() = default;

  virtual HostFacts facts() = 0;

  /// The domain of that name, which need not exist. Asks nothing.
  virtual std::shared_ptr<Guest> guest(const std::string& name) = 0;
  virtual std::vector<std::string> domains() = 0;                 ///< all, also transient ones
  virtual std::vector<std::string> active_domains() = 0;          ///< those that run or are paused
  virtual std::string name_of_uuid(const std::string& uuid) = 0;  ///< "" if absent

  virtual void define(const std::string& definition) = 0;
  /// Starts a domain that is defined nowhere. It is destroyed when the connection of this host
  /// ends, however that comes about.
  virtual void run_transient(const std::string& definition) = 0;
  /// Would QEMU start this? Everything libvirt checks (virConnectDomainXMLToNative); defines
  /// nothing. Throws what libvirt says.
  virtual void validate(const std::string& definition) = 0;

  // What a definition needs of this host.
  /// Bytes of memory that nobody uses, or that only cache files. Nothing: it is not told.
  virtual std::optional<uint64_t> free_memory() = 0;
  virtual bool network_active(const std::string& network) = 0;
  virtual std::string volume_path(const std::string& pool, const std::string& volume) = 0;
  /// Nothing: there is no such secret. Throws kUnsupported: that libvirt has no driver for secrets.
  virtual std::optional<FoundSecret> find_secret(const SecretName& secret) = 0;
  /// Makes or updates the Ceph secret and answers its UUID. Throws kConflict, and changes nothing:
  /// it is for something else.
  virtual std::string define_secret(const SecretName& secret, const std::string& key) = 0;
};

/// Connects to a libvirt host ("qemu:///system"; "": libvirt's own choice). Throws Error:
/// kUnsupported in a build without libvirt.
std::shared_ptr<Host> connect_host(const std::string& uri);

}  // namespace VMFERRY_API vmferry
