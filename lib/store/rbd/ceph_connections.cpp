// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/ceph_connections.h"

#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace vmferry {
namespace {

/// All that a client is made of.
using Key = std::vector<std::string>;

Key key_of(const RbdLocation& location, const CephOptions& options) {
  Key key = {options.conf,
             options.id,
             options.keyring,
             options.cluster,
             std::to_string(options.timeout),
             std::to_string(options.stall_timeout.value_or(0))};
  for (const char* variable : {"CEPH_CONF", "CEPH_ARGS", "CEPH_KEYRING"}) {
    const char* value = std::getenv(variable);
    key.emplace_back(value == nullptr ? "" : value);
  }
  for (const auto& [name, value] : location.options) {
    key.push_back(name);
    key.push_back(value);
  }
  return key;
}

std::shared_ptr<CephClient> connect(const RbdLocation& location, const CephOptions& options) {
  auto client = std::make_shared<CephClient>(location, options);
  client->connect();
  return client;
}

class Connections {
 public:
  std::shared_ptr<CephClient> get(const RbdLocation& location, const CephOptions& options) {
    const std::shared_ptr<Place> place = place_for(key_of(location, options));
    const std::lock_guard lock(place->mutex);
    if (auto client = place->client.lock()) {
      return client;
    }
    auto client = connect(location, options);
    place->client = client;
    return client;
  }

  void forget(const CephClient& client) {
    for (const std::shared_ptr<Place>& place : places()) {
      const std::lock_guard lock(place->mutex);
      if (place->client.lock().get() == &client) {
        place->client.reset();
      }
    }
  }

 private:
  struct Place {
    std::mutex mutex;  // held while connecting
    std::weak_ptr<CephClient> client;
  };

  std::shared_ptr<Place> place_for(const Key& key) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Place>& place = places_[key];
    if (!place) {
      place = std::make_shared<Place>();
    }
    return place;
  }

  std::vector<std::shared_ptr<Place>> places() {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Place>> all;
    for (const auto& [key, place] : places_) {
      all.push_back(place);
    }
    return all;
  }

  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Place>> places_;
};

/// Never destroyed: a thread that was left behind may still use it when the process ends.
Connections& connections() {
  static auto* const all = new Connections;
  return *all;
}

}  // namespace

std::shared_ptr<CephClient> connect_to_ceph(const RbdLocation& location, const CephOptions& options,
                                            CephSharing sharing) {
  return sharing == CephSharing::kOwn ? connect(location, options)
                                      : connections().get(location, options);
}

void forget_connection(const CephClient& client) { connections().forget(client); }

}  // namespace vmferry
