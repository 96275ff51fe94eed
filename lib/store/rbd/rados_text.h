// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <string_view>

namespace vmferry {

/// A string as Ceph encodes it (include/encoding.h): its length in four bytes (little endian), then
/// its bytes. Any thread.
std::string encode_rados_text(const std::string& text);
/// The text at the begin of `bytes`; empty if there is none.
std::string decode_rados_text(std::string_view bytes);

}  // namespace vmferry
