// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

#include "lib/store/nbd/nbd_location.h"
#include "lib/store/store.h"
#include "vmferry/network.h"

namespace vmferry {

struct NbdOptions {
  /// The name used in messages; empty: the address.
  std::string name = {};
  /// How long the server may be silent when something is asked of it. To connect takes half a
  /// minute at most.
  std::chrono::seconds silence{600};
  /// When triggered, what waits for the server gives up: Error kCancelled.
  std::stop_token stop = {};
};

/// What the options of a command say.
NbdOptions nbd_options(const NetworkOptions& options);

/// The export, to be read: over a few connections where the server allows it (multi-conn), which
/// are made when they are needed; otherwise over one. Extents are those of the context
/// base:allocation. Throws Error: kNotFound (no server, no such export), kUnsupported (TLS, odd
/// sizes), kIo.
OpenBytes open_nbd_source(const NbdAddress& address, const NbdOptions& options);

/// The export as it is: needs options.force and options.size bytes of room. What it holds beyond
/// these stays. Zeros are written unless the server says that it holds nothing else. publish() only
/// checks that flush() was reached.
std::unique_ptr<Target> open_nbd_target(const NbdAddress& address, const TargetOptions& options);

}  // namespace vmferry
