// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <libvirt/libvirt.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "vmferry/error.h"

namespace vmferry::libvirt {

/// Keeps why the last call of this thread failed. Every call of libvirt begins by forgetting that
/// of the one before, and so does the freeing of an object, which often comes between a failure and
/// the question for its reason.
void keep_reason();
/// The virErrorNumber of this thread's last failure.
int last_code();
/// The Error that libvirt left in this thread.
Error libvirt_error(const std::string& object, const std::string& action, std::string hint = {});

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    keep_reason();
    Free(object);
  }
};
using OpenConnection = std::unique_ptr<virConnect, Freer<virConnectClose>>;
/// A host and its guests have one. libvirt lets any thread use it.
using Connection = std::shared_ptr<virConnect>;
using DomainPtr = std::unique_ptr<virDomain, Freer<virDomainFree>>;
using NetworkPtr = std::unique_ptr<virNetwork, Freer<virNetworkFree>>;
using SecretPtr = std::unique_ptr<virSecret, Freer<virSecretFree>>;
using PoolPtr = std::unique_ptr<virStoragePool, Freer<virStoragePoolFree>>;
using VolumePtr = std::unique_ptr<virStorageVol, Freer<virStorageVolFree>>;
using CheckpointPtr = std::unique_ptr<virDomainCheckpoint, Freer<virDomainCheckpointFree>>;
using SnapshotPtr = std::unique_ptr<virDomainSnapshot, Freer<virDomainSnapshotFree>>;
using StreamPtr = std::unique_ptr<virStream, Freer<virStreamFree>>;
using Text = std::unique_ptr<char, Freer<free>>;

/// The names of what libvirt listed. Frees the list, and what is in it.
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

/// Typed parameters that free themselves.
class Parameters {
 public:
  Parameters() = default;
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;
  ~Parameters() { virTypedParamsFree(list_, count_); }

  void add(const char* name, const std::string& value) {
    check(virTypedParamsAddString(&list_, &count_, &room_, name, value.c_str()));
  }
  void add(const char* name, unsigned long long value) {
    check(virTypedParamsAddULLong(&list_, &count_, &room_, name, value));
  }
  void add(const char* name, int value) {
    check(virTypedParamsAddInt(&list_, &count_, &room_, name, value));
  }
  void add(const char* name, unsigned value) {
    check(virTypedParamsAddUInt(&list_, &count_, &room_, name, value));
  }
  uint64_t number(const char* name) const {
    unsigned long long value = 0;
    virTypedParamsGetULLong(list_, count_, name, &value);
    return value;
  }
  bool has(const char* name) const { return virTypedParamsGet(list_, count_, name) != nullptr; }

  virTypedParameterPtr* list() { return &list_; }
  int* count() { return &count_; }

 private:
  static void check(int rc) {
    if (rc < 0) {
      throw libvirt_error("libvirt", "build parameters");
    }
  }

  virTypedParameterPtr list_ = nullptr;
  int count_ = 0;
  int room_ = 0;
};

}  // namespace vmferry::libvirt
