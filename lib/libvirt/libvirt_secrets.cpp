// SPDX-License-Identifier: LGPL-2.1-or-later
#include <libvirt/virterror.h>
#include <tinyxml2.h>

#include <cstring>

#include "lib/libvirt/base64.h"
#include "lib/libvirt/libvirt_host.h"

namespace vmferry::libvirt {

std::optional<FoundSecret> LibvirtHost::find_secret(const SecretName& name) {
  const SecretPtr secret = look_up(name);
  if (!secret) {
    return std::nullopt;
  }
  FoundSecret found{.other_use = other_use(secret.get())};
  if (!found.other_use.empty()) {
    return found;
  }
  size_t size = 0;
  unsigned char* value = virSecretGetValue(secret.get(), &size, 0);
  if (!value) {
    found.is_private = last_code() == VIR_ERR_INVALID_SECRET;
    if (found.is_private || last_code() == VIR_ERR_NO_SECRET) {
      return found;
    }
    throw libvirt_error(uri_, "read the Ceph secret");
  }
  found.key = to_base64(value, size);
  explicit_bzero(value, size);
  free(value);
  return found;
}

SecretPtr LibvirtHost::look_up(const SecretName& name) {
  SecretPtr secret(name.uuid.empty()
                       ? virSecretLookupByUsage(connection_.get(), VIR_SECRET_USAGE_TYPE_CEPH,
                                                name.usage.c_str())
                       : virSecretLookupByUUIDString(connection_.get(), name.uuid.c_str()));
  if (!secret && last_code() != VIR_ERR_NO_SECRET) {
    throw libvirt_error(uri_, "look up the Ceph secret");
  }
  return secret;
}

std::string LibvirtHost::other_use(virSecretPtr secret) {
  const int type = virSecretGetUsageType(secret);
  if (type < 0) {
    throw libvirt_error(uri_, "ask what the secret is for");
  }
  static const char* const kTypes[] = {"nothing named", "volume", "Ceph",
                                       "iSCSI target",  "TLS",    "vTPM"};
  if (type == VIR_SECRET_USAGE_TYPE_CEPH) {
    return {};
  }
  const char* usage = virSecretGetUsageID(secret);
  const bool known = static_cast<size_t>(type) < std::size(kTypes);
  return std::string(known ? kTypes[type] : "another type of thing") +
         (usage && *usage ? std::string(" ") + usage : "");
}

std::string LibvirtHost::define_secret(const SecretName& name, const std::string& key) {
  const std::string value = from_base64(key);
  if (value.empty()) {
    throw Error({.kind = ErrorKind::kIo,
                 .object = uri_,
                 .action = "define the Ceph secret",
                 .cause = "the key in the keyring is not base64 text"});
  }
  SecretPtr secret = look_up(name);
  if (const std::string use = secret ? other_use(secret.get()) : ""; !use.empty()) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = uri_,
                 .action = "define the Ceph secret",
                 .cause = "the secret of that UUID is for " + use,
                 .hint = "name another with --secret-uuid or --secret-usage"});
  }
  if (!secret) {
    tinyxml2::XMLPrinter xml;
    xml.OpenElement("secret");
    xml.PushAttribute("ephemeral", "no");
    xml.PushAttribute("private", "no");
    if (!name.uuid.empty()) {
      xml.OpenElement("uuid");
      xml.PushText(name.uuid.c_str());
      xml.CloseElement();
    }
    xml.OpenElement("usage");
    xml.PushAttribute("type", "ceph");
    xml.OpenElement("name");
    xml.PushText((name.usage.empty() ? "vmferry " + name.uuid : name.usage).c_str());
    xml.CloseElement();
    xml.CloseElement();
    xml.CloseElement();
    secret.reset(virSecretDefineXML(connection_.get(), xml.CStr(), 0));
    if (!secret) {
      throw libvirt_error(uri_, "define the Ceph secret");
    }
  }
  if (virSecretSetValue(secret.get(), reinterpret_cast<const unsigned char*>(value.data()),
                        value.size(), 0) != 0) {
    throw libvirt_error(uri_, "set the value of the Ceph secret");
  }
  char uuid[VIR_UUID_STRING_BUFLEN] = {};
  if (virSecretGetUUIDString(secret.get(), uuid) != 0) {
    throw libvirt_error(uri_, "ask for the UUID of the Ceph secret");
  }
  return uuid;
}

}  // namespace vmferry::libvirt
