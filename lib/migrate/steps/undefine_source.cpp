// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/steps/steps.h"
#include "vmferry/error.h"

namespace vmferry::migrate {

void UndefineSource::run() {
  const DomainState state = source_.state();
  if (state == DomainState::kAbsent) {
    return;
  }
  if (state != DomainState::kShutOff) {
    fail(ErrorKind::kConflict, source_.name(), "undefine at the source", "it runs there");
  }
  journal_.note(kLeft);
  source_.guest().set_autostart(false);
  const Domain last = source_.definition(DefinitionKind::kMigratablePersistent);
  carry_edits(last);
  journal_.keep("source", run_.with_old_disks(last));
  if (!plan_.request.keep_source_definition) {
    source_.guest().undefine();
  }
}

void UndefineSource::undo() {
  // Of an offline move only: somebody started it again before it was gone.
  if (source_.state() != DomainState::kAbsent && source_.guest().autostart() != plan_.autostart) {
    source_.guest().set_autostart(plan_.autostart);
  }
}

void UndefineSource::carry_edits(const Domain& now) {
  const std::optional<std::string> sent = journal_.recorded(kSent);
  if (!sent || now.text == *sent) {
    return;
  }
  target_.host().define(run_.with_new_disks(now));
  std::string files;
  const Domain before = parse_domain(*sent, "the definition that was sent");
  for (const DomainDisk& disk : now.disks) {
    if (!before.find_disk(disk.target)) {
      files += "; " + disk.target + " is new: does the target see " + disk.image.display() + "?";
    }
  }
  context_.observer->warning(
      "the definition was edited at the source meanwhile: the target has it as it is now" + files);
  journal_.record(kSent, now.text);
}

}  // namespace vmferry::migrate
