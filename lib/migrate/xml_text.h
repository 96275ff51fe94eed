// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "vmferry/migrate.h"

// The small texts that libvirt and QEMU want beside definitions.

namespace vmferry::migrate {

/// A <domainsnapshot> that puts an overlay over each disk of `plan` and leaves all others of
/// `domain` alone (libvirt, formatsnapshot.html).
std::string snapshot_definition(const Plan& plan, const Domain& domain);

/// The <disk> for virDomainBlockCopy whose image is the qcow2 `disk.bridge` over the volume or file
/// that it goes to. Only its <source>, <driver type> and <backingStore> are read (libvirt's
/// virDomainDiskDefParseSource).
std::string bridge_disk(const MigrateRequest& request, const MovingDisk& disk);

/// QEMU's own name of a volume ("rbd:pool/image:id=user:conf=file"), for an overlay's header. Holds
/// no key: whoever opens the overlay by it alone uses the host's keyring.
std::string qemu_volume_name(const MigrateRequest& request, const VolumeName& volume);

/// As QEMU hands it to librados for these monitors; a semicolon parts them there.
std::string mon_host_of(const std::vector<CephMonitor>& monitors);

}  // namespace vmferry::migrate
