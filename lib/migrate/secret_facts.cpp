// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/migrate/facts.h"

// What a host's libvirt has under the name of the Ceph secret.

namespace vmferry::migrate {
namespace {

SecretFacts found_secret(Host& host, const SecretName& name,
                         const std::optional<std::string>& wanted, const Trial& key) {
  const auto is = [](SecretState state, std::string detail = {}) {
    return SecretFacts{.host = {}, .state = state, .detail = std::move(detail)};
  };
  try {
    const std::optional<FoundSecret> found = host.find_secret(name);
    if (!found) {
      return is(SecretState::kMissing);
    }
    if (!found->other_use.empty()) {
      return is(SecretState::kOtherUse, found->other_use);
    }
    if (found->is_private) {
      return is(SecretState::kPrivate);
    }
    if (!found->key) {
      return is(SecretState::kNoValue);
    }
    if (!wanted) {
      return is(SecretState::kUncompared, key.failure);
    }
    return is(*found->key == *wanted ? SecretState::kMatches : SecretState::kDiffers);
  } catch (const Error& error) {
    return is(
        error.kind() == ErrorKind::kUnsupported ? SecretState::kNoDriver : SecretState::kUnasked,
        error.what());
  }
}

bool can_be_defined(SecretState state) {
  return state == SecretState::kMissing || state == SecretState::kNoValue ||
         state == SecretState::kDiffers || state == SecretState::kPrivate ||
         state == SecretState::kUncompared;
}

}  // namespace

SecretFacts look_at_secret(Host& host, const HostFacts& about, const MigrateRequest& request,
                           MigrationStorage& storage) {
  std::optional<std::string> wanted;
  const Trial key = attempt([&] { wanted = storage.user_key(); });
  SecretFacts secret = found_secret(host, request.secret, wanted, key);
  secret.host = about.hostname;
  // What has another key may be what the guests of the old cluster log in with.
  const bool is_others = request.old_cluster && (secret.state == SecretState::kDiffers ||
                                                 secret.state == SecretState::kPrivate);
  if (request.define_secret && can_be_defined(secret.state) && !is_others) {
    secret.state = wanted ? SecretState::kWillBeDefined : SecretState::kNoKey;
    secret.detail = key.failure;
  }
  return secret;
}

}  // namespace vmferry::migrate
