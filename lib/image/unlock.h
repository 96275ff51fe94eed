// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>
#include <string>

#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/sector_cipher.h"

namespace vmferry {

/// The cipher of an encrypted qcow2 image, opened with the passphrase in `key_file`: all of its
/// bytes, a newline at the end included (as QEMU's secret objects read it). LUKS takes the time
/// that its header asks for. Throws Error: kNotFound and the like for the key file, kConflict for a
/// wrong passphrase, kCorrupt for a header that cannot be. Any thread.
/// REQUIRES: the header says that the image is encrypted.
std::shared_ptr<const SectorCipher> unlock(const Source& file, const Qcow2Header& header,
                                           const std::string& key_file);

}  // namespace vmferry
