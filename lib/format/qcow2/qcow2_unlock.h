// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <memory>

#include "lib/core/secret.h"
#include "lib/format/qcow2/qcow2.h"
#include "lib/format/qcow2/sector_cipher.h"

namespace vmferry {

/// The cipher of an encrypted qcow2 image, opened with the passphrase. LUKS takes the time that its
/// header asks for. Throws Error: kConflict for a wrong passphrase, kCorrupt for a header that
/// cannot be. Any thread. REQUIRES: the header says that the image is encrypted.
std::shared_ptr<const SectorCipher> unlock_qcow2(const Source& file, const Qcow2Header& header,
                                                 Secret passphrase);

}  // namespace vmferry
