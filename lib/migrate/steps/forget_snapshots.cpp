// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "lib/core/shell_word.h"
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

// What libvirt knows of snapshots leads a guest back to its old images: a revert takes the whole
// definition of then. So it is taken from libvirt before the new definition comes.

namespace vmferry::migrate {
namespace {

/// Those that libvirt knew of, each after its parent.
struct KnownBefore {
  std::vector<std::string> names;
  std::string current;  ///< empty: none

  static KnownBefore of(const std::vector<KnownSnapshot>& known) {
    KnownBefore before;
    for (const KnownSnapshot& snapshot : known) {
      before.names.push_back(snapshot.name);
      if (snapshot.current) {
        before.current = snapshot.name;
      }
    }
    return before;
  }
  static KnownBefore read(const std::string& text) {
    const auto json = nlohmann::json::parse(text);
    return {json.at("names"), json.at("current")};
  }
  std::string text() const { return nlohmann::json{{"names", names}, {"current", current}}.dump(); }
};

/// A name of its own beside the journal; a long one is cut.
std::string kept_name(const std::vector<std::string>& all, const std::string& name) {
  constexpr size_t kLongest = 120;
  std::string file = "snapshot-" + state_file_name(name);
  if (file.size() > kLongest) {
    const auto place = std::find(all.begin(), all.end(), name) - all.begin();
    file = file.substr(0, kLongest) + "-" + std::to_string(place + 1);
  }
  return file;
}

const KnownSnapshot* find_in(const std::vector<KnownSnapshot>& known, const std::string& name) {
  const auto found =
      std::find_if(known.begin(), known.end(),
                   [&name](const KnownSnapshot& snapshot) { return snapshot.name == name; });
  return found == known.end() ? nullptr : &*found;
}

}  // namespace

void ForgetSnapshots::run() {
  std::vector<KnownSnapshot> known;
  if (source_.state() != DomainState::kAbsent) {
    known = source_.guest().known_snapshots();
  }
  if (!journal_.recorded(kForgotten)) {
    save(known);
  }
  const KnownBefore before = KnownBefore::read(*journal_.recorded(kForgotten));
  for (auto name = before.names.rbegin(); name != before.names.rend(); ++name) {
    if (find_in(known, *name) != nullptr) {
      source_.guest().forget_snapshot(*name);
    }
  }
  for (const std::string& name : before.names) {
    run_.keep_forgotten(journal_.kept_path(kept_name(plan_.snapshots, name)));
  }
}

void ForgetSnapshots::save(const std::vector<KnownSnapshot>& known) {
  for (const KnownSnapshot& snapshot : known) {
    const auto planned = std::find(plan_.snapshots.begin(), plan_.snapshots.end(), snapshot.name);
    if (planned == plan_.snapshots.end()) {
      fail(ErrorKind::kConflict, source_.name(), "go on",
           "the snapshot " + snapshot.name + " was taken meanwhile, which the copy has not",
           "begin again: the move takes it along then");
    }
  }
  for (const KnownSnapshot& snapshot : known) {
    journal_.note(kSaved);
    journal_.keep(kept_name(plan_.snapshots, snapshot.name), snapshot.definition);
  }
  journal_.record(kForgotten, KnownBefore::of(known).text());
}

void ForgetSnapshots::undo() {
  const std::optional<std::string> text = journal_.recorded(kForgotten);
  if (!text) {
    return;
  }
  const KnownBefore before = KnownBefore::read(*text);
  const std::vector<KnownSnapshot> known = source_.guest().known_snapshots();
  for (const std::string& name : before.names) {
    const KnownSnapshot* now = find_in(known, name);
    const bool current = name == before.current;
    if (now == nullptr || (current && !now->current)) {
      source_.guest().tell_snapshot({.name = name,
                                     .definition = journal_.kept(kept_name(plan_.snapshots, name)),
                                     .current = current});
    }
  }
  journal_.unrecord(kForgotten);
}

void ForgetSnapshots::clean() {
  if (!journal_.noted(kSaved)) {
    return;
  }
  for (const std::string& name : plan_.snapshots) {
    const std::string file = kept_name(plan_.snapshots, name);
    run_.try_to_remove("rm " + shell_word(journal_.kept_path(file)),
                       [&] { journal_.remove_kept(file); });
  }
  journal_.forget(kSaved);
}

}  // namespace vmferry::migrate
