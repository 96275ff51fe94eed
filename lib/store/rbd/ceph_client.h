// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <rados/librados.h>

#include <optional>
#include <string>

#include "vmferry/error.h"
#include "vmferry/target.h"

namespace vmferry {

struct ConfigurationFile;

/// A client of the cluster that a location and options name. Configured by its constructor,
/// connected when asked; ends with its destructor. After connect() any thread may use it.
class CephClient {
 public:
  /// Reads the configuration; talks to nobody. Throws Error, about `location`.
  CephClient(const RbdLocation& location, const CephOptions& options);
  CephClient(const CephClient&) = delete;
  CephClient& operator=(const CephClient&) = delete;
  ~CephClient() { rados_shutdown(cluster_); }

  /// Connects, within options.timeout. Throws Error.
  void connect();

  /// From now on operations may take options.stall_timeout: data is under way.
  void allow_stalls() const;

  rados_t get() const { return cluster_; }
  /// "client.admin"
  const std::string& entity() const { return entity_; }
  /// The value of a Ceph option, all sources taken together; "" if it has none.
  std::string setting(const char* key) const;

 private:
  void configure(const CephOptions& options);
  void read(const ConfigurationFile& file);
  void require_descriptors() const;
  void require_threads() const;
  Error connect_error(int rc) const;

  const RbdLocation location_;
  const std::optional<unsigned> stall_timeout_;
  std::string entity_;
  bool configured_ = false;      ///< by a file
  std::string unreadable_file_;  ///< "PATH: CAUSE" of a file that is there and could not be read
  rados_t cluster_ = nullptr;
};

}  // namespace vmferry
