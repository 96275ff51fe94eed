// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/libvirt_guest.h"

namespace vmferry::libvirt {
namespace {

using Snapshots = std::vector<SnapshotPtr>;

/// Parents first.
Snapshots all_snapshots(virDomain* domain, const std::string& label) {
  virDomainSnapshotPtr* list = nullptr;
  const int number = virDomainListAllSnapshots(domain, &list, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL);
  if (number < 0) {
    throw libvirt_error(label, "list its snapshots");
  }
  Snapshots snapshots;
  snapshots.reserve(static_cast<size_t>(number));
  for (int i = 0; i < number; ++i) {
    snapshots.emplace_back(list[i]);
  }
  free(list);
  return snapshots;
}

}  // namespace

unsigned LibvirtGuest::snapshots() {
  return count(virDomainSnapshotNum(find().get(), 0), "count its snapshots");
}

std::vector<KnownSnapshot> LibvirtGuest::known_snapshots() {
  std::vector<KnownSnapshot> known;
  for (const SnapshotPtr& snapshot : all_snapshots(find().get(), label())) {
    const std::string name = virDomainSnapshotGetName(snapshot.get());
    const Text definition(virDomainSnapshotGetXMLDesc(snapshot.get(), VIR_DOMAIN_XML_SECURE));
    if (!definition) {
      throw libvirt_error(label(), "read what is known of its snapshot " + name);
    }
    known.push_back({.name = name,
                     .definition = definition.get(),
                     .current = answer(virDomainSnapshotIsCurrent(snapshot.get(), 0),
                                       "ask for its current snapshot")});
  }
  return known;
}

void LibvirtGuest::forget_snapshot(const std::string& name) {
  const std::string action = "forget its snapshot " + name;
  const SnapshotPtr snapshot(virDomainSnapshotLookupByName(find().get(), name.c_str(), 0));
  if (!snapshot) {
    throw libvirt_error(label(), action);
  }
  check(virDomainSnapshotDelete(snapshot.get(), VIR_DOMAIN_SNAPSHOT_DELETE_METADATA_ONLY), action);
}

void LibvirtGuest::tell_snapshot(const KnownSnapshot& snapshot) {
  unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE;
  if (snapshot.current) {
    flags |= VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT;
  }
  const SnapshotPtr told(
      virDomainSnapshotCreateXML(find().get(), snapshot.definition.c_str(), flags));
  if (!told) {
    throw libvirt_error(label(), "tell libvirt of its snapshot " + snapshot.name);
  }
}

}  // namespace vmferry::libvirt
