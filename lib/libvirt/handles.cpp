// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/libvirt/handles.h"

#include <libvirt/virterror.h>

namespace vmferry::libvirt {
namespace {

struct Reason {
  int code = VIR_ERR_OK;
  std::string message;

  static Reason of_last_call() {
    const virError* last = virGetLastError();
    if (last == nullptr) {
      return {};
    }
    return {last->code, last->message != nullptr ? last->message : ""};
  }
};
thread_local Reason kept_reason;  // that of the last call before an object was freed

ErrorKind kind_of(int code) {
  switch (code) {
    case VIR_ERR_NO_DOMAIN:
    case VIR_ERR_NO_DOMAIN_SNAPSHOT:
    case VIR_ERR_NO_SECRET:
    case VIR_ERR_NO_NETWORK:
    case VIR_ERR_NO_STORAGE_POOL:
    case VIR_ERR_NO_STORAGE_VOL:
      return ErrorKind::kNotFound;
    case VIR_ERR_OPERATION_INVALID:
    case VIR_ERR_DOM_EXIST:
      return ErrorKind::kConflict;
    case VIR_ERR_NO_SUPPORT:
    case VIR_ERR_CONFIG_UNSUPPORTED:
    case VIR_ERR_OPERATION_UNSUPPORTED:
      return ErrorKind::kUnsupported;
    default:
      return ErrorKind::kIo;
  }
}

Reason last_reason() {
  Reason reason = Reason::of_last_call();
  return reason.code != VIR_ERR_OK ? reason : kept_reason;
}

}  // namespace

void keep_reason() { kept_reason = Reason::of_last_call(); }

int last_code() { return last_reason().code; }

Error libvirt_error(const std::string& object, const std::string& action, std::string hint) {
  const Reason reason = last_reason();
  return Error({.kind = kind_of(reason.code),
                .object = object,
                .action = action,
                .cause = reason.message.empty() ? "libvirt gives no reason" : reason.message,
                .hint = std::move(hint)});
}

}  // namespace vmferry::libvirt
