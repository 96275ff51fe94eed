// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/libvirt_guest.h"

#include <libvirt/virterror.h>

#include "lib/core/shell_word.h"

namespace vmferry::libvirt {

DomainState LibvirtGuest::state() {
  const DomainPtr found(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (!found) {
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return DomainState::kAbsent;
    }
    throw libvirt_error(label(), "look up");
  }
  int state = 0;
  if (virDomainGetState(found.get(), &state, nullptr, 0) != 0) {
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return DomainState::kAbsent;  // it went just now
    }
    throw libvirt_error(label(), "ask for its state");
  }
  switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
      return DomainState::kRunning;
    case VIR_DOMAIN_PAUSED:
      return DomainState::kPaused;
    case VIR_DOMAIN_SHUTOFF:
      return DomainState::kShutOff;
    default:
      return DomainState::kOther;
  }
}

bool LibvirtGuest::persistent() {
  return answer(virDomainIsPersistent(find().get()), "ask whether it is defined");
}

std::string LibvirtGuest::definition(DefinitionKind kind) {
  unsigned flags = VIR_DOMAIN_XML_SECURE;
  if (kind == DefinitionKind::kPersistent || kind == DefinitionKind::kMigratablePersistent) {
    flags |= VIR_DOMAIN_XML_INACTIVE;
  }
  if (kind == DefinitionKind::kMigratable || kind == DefinitionKind::kMigratablePersistent) {
    flags |= VIR_DOMAIN_XML_MIGRATABLE;
  }
  const Text text(virDomainGetXMLDesc(find().get(), flags));
  if (!text) {
    throw libvirt_error(label(), "read its definition");
  }
  return text.get();
}

std::string LibvirtGuest::uuid() {
  const DomainPtr found(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (!found && last_code() == VIR_ERR_NO_DOMAIN) {
    return {};
  }
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  if (!found || virDomainGetUUIDString(found.get(), uuid) != 0) {
    throw libvirt_error(label(), "look up");
  }
  return uuid;
}

DiskSizes LibvirtGuest::disk_sizes(const std::string& dev) {
  virDomainBlockInfo info = {};
  if (virDomainGetBlockInfo(find().get(), dev.c_str(), &info, 0) != 0) {
    throw libvirt_error(label(), "ask for the size of " + dev);
  }
  return {.capacity = info.capacity, .allocation = info.allocation};
}

std::vector<std::string> LibvirtGuest::checkpoints() {
  virDomainCheckpointPtr* list = nullptr;
  const int number = virDomainListAllCheckpoints(find().get(), &list, 0);
  if (number < 0 && last_code() == VIR_ERR_NO_SUPPORT) {
    return {};
  }
  check(number, "list its checkpoints");
  return names_of<CheckpointPtr>(list, number, virDomainCheckpointGetName);
}

bool LibvirtGuest::was_saved() {
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  check(virDomainGetState(find().get(), &state, &reason, 0), "ask for its state");
  return state == VIR_DOMAIN_SHUTOFF &&
         (reason == VIR_DOMAIN_SHUTOFF_SAVED ||
          answer(virDomainHasManagedSaveImage(find().get(), 0), "ask for a managed save"));
}

bool LibvirtGuest::starting() {
  int state = VIR_DOMAIN_NOSTATE;
  int reason = 0;
  const DomainPtr found(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (!found || virDomainGetState(found.get(), &state, &reason, 0) != 0) {
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return false;
    }
    throw libvirt_error(label(), "ask for its state");
  }
  return state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_STARTING_UP;
}

bool LibvirtGuest::has_job() {
  virDomainJobInfo job = {};
  const DomainPtr found = find();
  if (virDomainIsActive(found.get()) != 1) {
    return false;
  }
  if (virDomainGetJobInfo(found.get(), &job) != 0) {
    throw libvirt_error(label(), "ask for running jobs");
  }
  return job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED;
}

bool LibvirtGuest::busy() {
  virDomainControlInfo control = {};
  const DomainPtr found(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (!found || virDomainIsActive(found.get()) != 1) {
    return false;
  }
  if (virDomainGetControlInfo(found.get(), &control, 0) != 0) {
    const int code = last_code();  // it may have gone just now
    if (code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID) {
      return false;
    }
    throw libvirt_error(label(), "ask whether libvirt is busy with it");
  }
  switch (control.state) {
    case VIR_DOMAIN_CONTROL_JOB:
    case VIR_DOMAIN_CONTROL_OCCUPIED:
      return true;
    case VIR_DOMAIN_CONTROL_ERROR:
      // What virsh domcontrol calls an "internal (locking) error" is a call that waits for an
      // event of QEMU's, such as the end of the job that it pivots.
      return control.details == VIR_DOMAIN_CONTROL_ERROR_REASON_INTERNAL;
    default:
      return false;
  }
}

bool LibvirtGuest::autostart() {
  int on = 0;
  if (virDomainGetAutostart(find().get(), &on) != 0) {
    throw libvirt_error(label(), "ask for its autostart");
  }
  return on != 0;
}

void LibvirtGuest::set_autostart(bool on) {
  check(virDomainSetAutostart(find().get(), on ? 1 : 0), "set its autostart");
}

bool LibvirtGuest::agent_answers() {
  long long seconds = 0;
  unsigned nanoseconds = 0;
  return virDomainGetTime(find().get(), &seconds, &nanoseconds, 0) == 0;
}

void LibvirtGuest::undefine() {
  const DomainPtr found = find();
  constexpr unsigned kAlways =
      VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA;
  unsigned flags = kAlways;
#ifdef LIBVIR_CHECK_VERSION
#if LIBVIR_CHECK_VERSION(8, 9, 0)
  flags |= VIR_DOMAIN_UNDEFINE_KEEP_TPM;
#endif
#endif
  if (virDomainUndefineFlags(found.get(), flags) == 0) {
    return;
  }
  check(virDomainUndefineFlags(found.get(), kAlways), "undefine");
}

void LibvirtGuest::start(bool paused) {
  check(virDomainCreateWithFlags(find().get(), paused ? VIR_DOMAIN_START_PAUSED : 0), "start");
}

void LibvirtGuest::shut_down() { check(virDomainShutdown(find().get()), "shut down"); }

void LibvirtGuest::destroy() { check(virDomainDestroy(find().get()), "force off"); }

DomainPtr LibvirtGuest::find() const {
  DomainPtr found(virDomainLookupByName(connection_.get(), name_.c_str()));
  if (!found) {
    throw libvirt_error(label(), "look up",
                        "list them: virsh -c " + shell_word(uri_) + " list --all");
  }
  return found;
}

void LibvirtGuest::check(int rc, const std::string& action) const {
  if (rc < 0) {
    throw libvirt_error(label(), action);
  }
}

bool LibvirtGuest::answer(int rc, const std::string& action) const {
  check(rc, action);
  return rc == 1;
}

unsigned LibvirtGuest::count(int rc, const std::string& action) const {
  check(rc, action);
  return static_cast<unsigned>(rc);
}

}  // namespace vmferry::libvirt
