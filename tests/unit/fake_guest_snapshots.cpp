// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>

#include "tests/unit/fake_guest.h"

// What libvirt knows of snapshots: it keeps their tree whole, and one of them is the current one.

namespace vmferry::test {
namespace {

std::string parent_element(const std::string& name) {
  return name.empty() ? "" : "<parent><name>" + name + "</name></parent>";
}

std::string parent_of(const KnownSnapshot& snapshot) {
  const std::string before = "<parent><name>";
  const size_t begin = snapshot.definition.find(before);
  if (begin == std::string::npos) {
    return {};
  }
  const size_t name = begin + before.size();
  return snapshot.definition.substr(name, snapshot.definition.find('<', name) - name);
}

void set_parent(KnownSnapshot& snapshot, const std::string& parent) {
  const std::string before = parent_element(parent_of(snapshot));
  snapshot.definition.replace(snapshot.definition.find(before), before.size(),
                              parent_element(parent));
}

std::vector<KnownSnapshot>::iterator find_in(std::vector<KnownSnapshot>& all,
                                             const std::string& name) {
  return std::find_if(all.begin(), all.end(),
                      [&](const KnownSnapshot& snapshot) { return snapshot.name == name; });
}

}  // namespace

unsigned FakeGuest::snapshots() {
  return call("snapshots", [&] {
    return find().snapshots + static_cast<unsigned>(find().known_snapshots.size());
  });
}

std::vector<KnownSnapshot> FakeGuest::known_snapshots() {
  return call("known_snapshots", [&] { return find().known_snapshots; });
}

void FakeGuest::forget_snapshot(const std::string& name) {
  call("forget_snapshot", [&] {
    std::vector<KnownSnapshot>& all = find().known_snapshots;
    const auto found = find_in(all, name);
    if (found == all.end()) {
      refuse(ErrorKind::kNotFound, domain_, "no domain snapshot with matching name '" + name + "'");
    }
    const KnownSnapshot gone = *found;
    all.erase(found);
    const std::string parent = parent_of(gone);
    for (KnownSnapshot& other : all) {
      if (parent_of(other) == name) {
        set_parent(other, parent);
      }
      other.current = other.current || (gone.current && other.name == parent);
    }
  });
}

void FakeGuest::tell_snapshot(const KnownSnapshot& snapshot) {
  call("tell_snapshot", [&] {
    std::vector<KnownSnapshot>& all = find().known_snapshots;
    const std::string parent = parent_of(snapshot);
    if (!parent.empty() && find_in(all, parent) == all.end()) {
      refuse(ErrorKind::kIo, domain_, "parent '" + parent + "' not found");
    }
    const auto same = find_in(all, snapshot.name);
    const bool stays = same != all.end() && same->current;
    for (KnownSnapshot& other : all) {
      other.current = other.current && !snapshot.current;
    }
    if (same == all.end()) {
      all.push_back(snapshot);
    } else {
      *same = snapshot;
      same->current = snapshot.current || stays;
    }
  });
}

}  // namespace vmferry::test
