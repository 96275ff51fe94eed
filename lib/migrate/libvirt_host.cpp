// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <openssl/evp.h>
#include <tinyxml2.h>

#include <cstring>
#include <mutex>

#include "lib/core/shell_word.h"
#include "lib/core/threads.h"
#include "lib/migrate/facts.h"
#include "lib/migrate/monitor.h"
#include "lib/migrate/xml_text.h"
#include "vmferry/error.h"
#include "vmferry/hypervisor.h"
#include "vmferry/version.h"

// The only file that knows libvirt. Every C call's failure becomes an Error at once.

namespace vmferry {
namespace {

constexpr int kKeepaliveSeconds = 5;
constexpr unsigned kKeepalivesLost = 6;

/// Why the last call of this thread failed. Every call of libvirt begins by forgetting that of the
/// one before, and so does the freeing of an object, which often comes between a failure and the
/// question for its reason.
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

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    kept_reason = Reason::of_last_call();
    Free(object);
  }
};
using Connection = std::unique_ptr<virConnect, Freer<virConnectClose>>;
using DomainPtr = std::unique_ptr<virDomain, Freer<virDomainFree>>;
using NetworkPtr = std::unique_ptr<virNetwork, Freer<virNetworkFree>>;
using SecretPtr = std::unique_ptr<virSecret, Freer<virSecretFree>>;
using PoolPtr = std::unique_ptr<virStoragePool, Freer<virStoragePoolFree>>;
using VolumePtr = std::unique_ptr<virStorageVol, Freer<virStorageVolFree>>;
using CheckpointPtr = std::unique_ptr<virDomainCheckpoint, Freer<virDomainCheckpointFree>>;
using SnapshotPtr = std::unique_ptr<virDomainSnapshot, Freer<virDomainSnapshotFree>>;
using Text = std::unique_ptr<char, Freer<free>>;

ErrorKind kind_of(int code) {
  switch (code) {
    case VIR_ERR_NO_DOMAIN:
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

/// The Error that libvirt left in this thread.
Error libvirt_error(const std::string& object, const std::string& action, std::string hint = {}) {
  const Reason reason = last_reason();
  return Error({.kind = kind_of(reason.code),
                .object = object,
                .action = action,
                .cause = reason.message.empty() ? "libvirt gives no reason" : reason.message,
                .hint = std::move(hint)});
}

int last_code() { return last_reason().code; }

/// libvirt's event loop, without which a connection to a dead host is never noticed.
void start_event_loop() {
  static std::once_flag once;
  std::call_once(once, [] {
    virInitialize();
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});  // libvirt would print every error
    virEventRegisterDefaultImpl();
    start_thread([] {
      while (virEventRunDefaultImpl() == 0) {
      }
    }).detach();
  });
}

std::string to_base64(const unsigned char* bytes, size_t size) {
  std::string text((size + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<size_t>(length));
  return text;
}

/// Empty if `text` is no base64.
std::string from_base64(const std::string& text) {
  std::string bytes(text.size() / 4 * 3 + 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  if (length < 0) {
    return {};
  }
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') {
    ++padding;
  }
  bytes.resize(static_cast<size_t>(length) - padding);
  return bytes;
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

constexpr uint64_t kMiB = 1 << 20;

class LibvirtHost : public Hypervisor {
 public:
  explicit LibvirtHost(const std::string& uri) : uri_(uri) {
    start_event_loop();
    connection_.reset(virConnectOpen(uri.empty() ? nullptr : uri.c_str()));
    if (!connection_) {
      throw libvirt_error(uri.empty() ? "libvirt" : uri, "connect",
                          "is libvirtd running there, and may you talk to it? "
                          "'virsh -c URI list' tells");
    }
    virConnectSetKeepAlive(connection_.get(), kKeepaliveSeconds, kKeepalivesLost);
    const Text real(virConnectGetURI(connection_.get()));
    if (real) {
      uri_ = real.get();
    }
  }

  HostFacts facts() override {
    HostFacts facts;
    facts.uri = uri_;
    const Text hostname(virConnectGetHostname(connection_.get()));
    if (!hostname) {
      throw libvirt_error(uri_, "ask for the host's name");
    }
    facts.hostname = hostname.get();
    if (virConnectGetLibVersion(connection_.get(), &facts.libvirt) != 0 ||
        virConnectGetVersion(connection_.get(), &facts.hypervisor) != 0) {
      throw libvirt_error(uri_, "ask for versions");
    }
    facts.uuid = host_uuid();
    // "qemu:///system", "qemu+unix:///system?socket=...": no host between the slashes.
    facts.local = uri_.find(":///") != std::string::npos;
    if (facts.local) {
      facts.rbd_driver = migrate::local_rbd_driver();
    }
    return facts;
  }

  DomainState state(const std::string& domain) override {
    const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
    if (!found) {
      if (last_code() == VIR_ERR_NO_DOMAIN) {
        return DomainState::kAbsent;
      }
      throw libvirt_error(label(domain), "look up");
    }
    int state = 0;
    if (virDomainGetState(found.get(), &state, nullptr, 0) != 0) {
      if (last_code() == VIR_ERR_NO_DOMAIN) {
        return DomainState::kAbsent;  // it went just now
      }
      throw libvirt_error(label(domain), "ask for its state");
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

  bool persistent(const std::string& domain) override {
    return answer(virDomainIsPersistent(find(domain).get()), domain, "ask whether it is defined");
  }

  std::string definition(const std::string& domain, DefinitionKind kind) override {
    unsigned flags = VIR_DOMAIN_XML_SECURE;
    if (kind == DefinitionKind::kPersistent || kind == DefinitionKind::kMigratablePersistent) {
      flags |= VIR_DOMAIN_XML_INACTIVE;
    }
    if (kind == DefinitionKind::kMigratable || kind == DefinitionKind::kMigratablePersistent) {
      flags |= VIR_DOMAIN_XML_MIGRATABLE;
    }
    const Text text(virDomainGetXMLDesc(find(domain).get(), flags));
    if (!text) {
      throw libvirt_error(label(domain), "read its definition");
    }
    return text.get();
  }

  std::string uuid_of(const std::string& domain) override {
    const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
    if (!found && last_code() == VIR_ERR_NO_DOMAIN) {
      return {};
    }
    char uuid[VIR_UUID_STRING_BUFLEN] = {};
    if (!found || virDomainGetUUIDString(found.get(), uuid) != 0) {
      throw libvirt_error(label(domain), "look up");
    }
    return uuid;
  }

  std::vector<std::string> domains() override { return list_domains(0); }
  std::vector<std::string> active_domains() override {
    return list_domains(VIR_CONNECT_LIST_DOMAINS_ACTIVE);
  }

  std::string name_of_uuid(const std::string& uuid) override {
    const DomainPtr found(virDomainLookupByUUIDString(connection_.get(), uuid.c_str()));
    if (found) {
      return virDomainGetName(found.get());
    }
    if (last_code() == VIR_ERR_NO_DOMAIN) {
      return {};
    }
    throw libvirt_error(uri_, "look up UUID " + uuid);
  }

  DiskSizes disk_sizes(const std::string& domain, const std::string& dev) override {
    virDomainBlockInfo info = {};
    if (virDomainGetBlockInfo(find(domain).get(), dev.c_str(), &info, 0) != 0) {
      throw libvirt_error(label(domain), "ask for the size of " + dev);
    }
    return {.capacity = info.capacity, .allocation = info.allocation};
  }

  unsigned snapshots(const std::string& domain) override {
    return count(virDomainSnapshotNum(find(domain).get(), 0), domain, "count its snapshots");
  }
  std::vector<std::string> checkpoints(const std::string& domain) override {
    virDomainCheckpointPtr* list = nullptr;
    const int number = virDomainListAllCheckpoints(find(domain).get(), &list, 0);
    if (number < 0 && last_code() == VIR_ERR_NO_SUPPORT) {
      return {};
    }
    check(number, domain, "list its checkpoints");
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(number));
    for (int i = 0; i < number; ++i) {
      names.emplace_back(virDomainCheckpointGetName(CheckpointPtr(list[i]).get()));
    }
    free(list);
    return names;
  }
  bool was_saved(const std::string& domain) override {
    int state = VIR_DOMAIN_NOSTATE;
    int reason = 0;
    check(virDomainGetState(find(domain).get(), &state, &reason, 0), domain, "ask for its state");
    return state == VIR_DOMAIN_SHUTOFF &&
           (reason == VIR_DOMAIN_SHUTOFF_SAVED ||
            answer(virDomainHasManagedSaveImage(find(domain).get(), 0), domain,
                   "ask for a managed save"));
  }

  bool has_job(const std::string& domain) override {
    virDomainJobInfo job = {};
    const DomainPtr found = find(domain);
    if (virDomainIsActive(found.get()) != 1) {
      return false;
    }
    if (virDomainGetJobInfo(found.get(), &job) != 0) {
      throw libvirt_error(label(domain), "ask for running jobs");
    }
    return job.type == VIR_DOMAIN_JOB_BOUNDED || job.type == VIR_DOMAIN_JOB_UNBOUNDED;
  }

  bool busy(const std::string& domain) override {
    virDomainControlInfo control = {};
    const DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
    if (!found || virDomainIsActive(found.get()) != 1) {
      return false;
    }
    if (virDomainGetControlInfo(found.get(), &control, 0) != 0) {
      const int code = last_code();  // it may have gone just now
      if (code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID) {
        return false;
      }
      throw libvirt_error(label(domain), "ask whether libvirt is busy with it");
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

  bool autostart(const std::string& domain) override {
    int on = 0;
    if (virDomainGetAutostart(find(domain).get(), &on) != 0) {
      throw libvirt_error(label(domain), "ask for its autostart");
    }
    return on != 0;
  }
  void set_autostart(const std::string& domain, bool on) override {
    check(virDomainSetAutostart(find(domain).get(), on ? 1 : 0), domain, "set its autostart");
  }

  bool agent_answers(const std::string& domain) override {
    long long seconds = 0;
    unsigned nanoseconds = 0;
    return virDomainGetTime(find(domain).get(), &seconds, &nanoseconds, 0) == 0;
  }

  void define(const std::string& definition) override {
    const DomainPtr made(virDomainDefineXMLFlags(connection_.get(), definition.c_str(), 0));
    if (!made) {
      throw libvirt_error(uri_, "define the domain");
    }
  }
  void undefine(const std::string& domain) override {
    const DomainPtr found = find(domain);
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
    check(virDomainUndefineFlags(found.get(), kAlways), domain, "undefine");
  }
  void start(const std::string& domain, bool paused) override {
    check(virDomainCreateWithFlags(find(domain).get(), paused ? VIR_DOMAIN_START_PAUSED : 0),
          domain, "start");
  }
  void shut_down(const std::string& domain) override {
    check(virDomainShutdown(find(domain).get()), domain, "shut down");
  }
  void destroy(const std::string& domain) override {
    check(virDomainDestroy(find(domain).get()), domain, "force off");
  }

  void snapshot(const std::string& domain, const std::string& snapshot_definition,
                bool quiesce) override {
    unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA |
                     VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
    if (quiesce) {
      flags |= VIR_DOMAIN_SNAPSHOT_CREATE_QUIESCE;
    }
    const SnapshotPtr made(
        virDomainSnapshotCreateXML(find(domain).get(), snapshot_definition.c_str(), flags));
    if (!made) {
      throw libvirt_error(label(domain), "take an external snapshot");
    }
  }

  void block_copy(const std::string& domain, const std::string& dev, const std::string& disk,
                  const BlockCopyOptions& options) override {
    unsigned flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB;
    if (options.shallow) {
      flags |= VIR_DOMAIN_BLOCK_COPY_SHALLOW;
    }
    if (options.synchronous_writes) {
      flags |= VIR_DOMAIN_BLOCK_COPY_SYNCHRONOUS_WRITES;
    }
    Parameters parameters;
    if (options.bandwidth != 0) {
      parameters.add(VIR_DOMAIN_BLOCK_COPY_BANDWIDTH,
                     static_cast<unsigned long long>(options.bandwidth));
    }
    check(virDomainBlockCopy(find(domain).get(), dev.c_str(), disk.c_str(), *parameters.list(),
                             *parameters.count(), flags),
          domain, "start a block copy of " + dev);
  }

  void commit_active(const std::string& domain, const std::string& dev,
                     uint64_t bandwidth) override {
    // Shallow: into the image right below, however long the chain.
    const unsigned flags = VIR_DOMAIN_BLOCK_COMMIT_ACTIVE | VIR_DOMAIN_BLOCK_COMMIT_SHALLOW |
                           VIR_DOMAIN_BLOCK_COMMIT_BANDWIDTH_BYTES;
    check(virDomainBlockCommit(find(domain).get(), dev.c_str(), nullptr, nullptr, bandwidth, flags),
          domain, "commit the overlay of " + dev);
  }

  std::optional<BlockJob> block_job(const std::string& domain, const std::string& dev) override {
    virDomainBlockJobInfo info = {};
    const int rc = virDomainGetBlockJobInfo(find(domain).get(), dev.c_str(), &info, 0);
    if (rc < 0) {
      throw libvirt_error(label(domain), "ask for the block job of " + dev);
    }
    if (rc == 0) {
      return std::nullopt;
    }
    BlockJob job;
    if (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COPY) {
      job.kind = BlockJob::Kind::kCopy;
    }
    if (info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT) {
      job.kind = BlockJob::Kind::kActiveCommit;
    }
    job.done = info.cur;
    job.total = info.end;
    const migrate::MirrorFacts mirror =
        migrate::mirror_facts(definition(domain, DefinitionKind::kLive), dev);
    job.target = mirror.target;
    // Equal numbers are not enough: only the definition says that libvirt saw the ready event.
    job.ready = info.cur == info.end && mirror.ready;
    return job;
  }

  void pivot(const std::string& domain, const std::string& dev) override {
    check(virDomainBlockJobAbort(find(domain).get(), dev.c_str(), VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT),
          domain, "pivot " + dev);
  }
  void abort_block_job(const std::string& domain, const std::string& dev) override {
    check(virDomainBlockJobAbort(find(domain).get(), dev.c_str(), VIR_DOMAIN_BLOCK_JOB_ABORT_ASYNC),
          domain, "abort the block job of " + dev);
  }
  void let_discard(const std::string& domain, const std::string& dev) override {
    const migrate::LiveImage image =
        migrate::live_image(definition(domain, DefinitionKind::kLive), dev);
    if (!image.discard.empty()) {
      return;  // libvirt passed it on to this image, too
    }
    const std::string nodes = ask_monitor(domain, migrate::query_nodes());
    migrate::check_answer(ask_monitor(domain, migrate::reopen_with_discard(nodes, image.index)));
  }

  void close_unused_volume(const std::string& domain, const std::string& pool,
                           const std::string& image) override {
    const std::string nodes = ask_monitor(domain, migrate::query_nodes());
    for (const std::string& command : migrate::commands_to_forget(nodes, pool, image)) {
      ask_monitor(domain, command);
    }
  }

  std::vector<std::string> migration_blockers(const std::string& domain) override {
    return migrate::migration_blockers(ask_monitor(domain, migrate::query_migration()));
  }
  std::string run_state(const std::string& domain) override {
    return migrate::run_state(ask_monitor(domain, migrate::query_run_state()));
  }
  void migrate(const std::string& domain, Hypervisor& target,
               const LiveMigration& migration) override;

  std::optional<MigrationStats> migration_stats(const std::string& domain) override {
    Parameters stats;
    int type = VIR_DOMAIN_JOB_NONE;
    if (virDomainGetJobStats(find(domain).get(), &type, stats.list(), stats.count(), 0) != 0) {
      throw libvirt_error(label(domain), "ask how far its migration is");
    }
    if (type != VIR_DOMAIN_JOB_BOUNDED && type != VIR_DOMAIN_JOB_UNBOUNDED) {
      return std::nullopt;
    }
    const uint64_t page = stats.number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
    return MigrationStats{
        .done = stats.number(VIR_DOMAIN_JOB_DATA_PROCESSED),
        .total = stats.number(VIR_DOMAIN_JOB_DATA_TOTAL),
        .dirty_rate = stats.number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) * (page != 0 ? page : 4096)};
  }

  void abort_migration(const std::string& domain) override {
    check(virDomainAbortJob(find(domain).get()), domain, "abort its migration");
  }

  std::optional<uint64_t> last_downtime(const std::string& domain) override {
    Parameters stats;
    int type = VIR_DOMAIN_JOB_NONE;
    if (virDomainGetJobStats(find(domain).get(), &type, stats.list(), stats.count(),
                             VIR_DOMAIN_JOB_STATS_COMPLETED) != 0 ||
        !stats.has(VIR_DOMAIN_JOB_DOWNTIME)) {
      return std::nullopt;
    }
    return stats.number(VIR_DOMAIN_JOB_DOWNTIME);
  }

  void validate(const std::string& definition) override {
    const Text native(
        virConnectDomainXMLToNative(connection_.get(), "qemu-argv", definition.c_str(), 0));
    if (!native) {
      throw libvirt_error(uri_, "check the definition");
    }
  }

  bool network_active(const std::string& network) override {
    const NetworkPtr found(virNetworkLookupByName(connection_.get(), network.c_str()));
    if (!found && last_code() == VIR_ERR_NO_NETWORK) {
      return false;
    }
    if (!found) {
      throw libvirt_error(uri_, "look up network " + network);
    }
    return virNetworkIsActive(found.get()) == 1;
  }

  std::string volume_path(const std::string& pool, const std::string& volume) override {
    const PoolPtr found(virStoragePoolLookupByName(connection_.get(), pool.c_str()));
    if (!found) {
      throw libvirt_error(uri_, "look up storage pool " + pool);
    }
    const VolumePtr inside(virStorageVolLookupByName(found.get(), volume.c_str()));
    if (!inside) {
      throw libvirt_error(uri_, "look up volume " + volume + " of pool " + pool);
    }
    const Text path(virStorageVolGetPath(inside.get()));
    if (!path) {
      throw libvirt_error(uri_, "ask where volume " + volume + " is");
    }
    return path.get();
  }

  std::optional<FoundSecret> find_secret(const SecretName& name) override {
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

  std::string define_secret(const SecretName& name, const std::string& key) override;

 private:
  std::vector<std::string> list_domains(unsigned flags) {
    virDomainPtr* list = nullptr;
    const int number = virConnectListAllDomains(connection_.get(), &list, flags);
    if (number < 0) {
      throw libvirt_error(uri_, "list the domains");
    }
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(number));
    for (int i = 0; i < number; ++i) {
      names.emplace_back(virDomainGetName(DomainPtr(list[i]).get()));
    }
    free(list);
    return names;
  }

  std::string label(const std::string& domain) const { return "domain " + domain; }

  DomainPtr find(const std::string& domain) {
    DomainPtr found(virDomainLookupByName(connection_.get(), domain.c_str()));
    if (!found) {
      throw libvirt_error(label(domain), "look up",
                          "list them: virsh -c " + shell_word(uri_) + " list --all");
    }
    return found;
  }

  SecretPtr look_up(const SecretName& name) {
    SecretPtr secret(name.uuid.empty()
                         ? virSecretLookupByUsage(connection_.get(), VIR_SECRET_USAGE_TYPE_CEPH,
                                                  name.usage.c_str())
                         : virSecretLookupByUUIDString(connection_.get(), name.uuid.c_str()));
    if (!secret && last_code() != VIR_ERR_NO_SECRET) {
      throw libvirt_error(uri_, "look up the Ceph secret");
    }
    return secret;
  }

  /// What the secret is for, if that is not Ceph.
  std::string other_use(virSecretPtr secret) {
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

  std::string ask_monitor(const std::string& domain, const std::string& command) {
    char* answer = nullptr;
    check(virDomainQemuMonitorCommand(find(domain).get(), command.c_str(), &answer, 0), domain,
          "ask QEMU's monitor");
    return Text(answer).get();
  }

  void check(int rc, const std::string& domain, const std::string& action) {
    if (rc < 0) {
      throw libvirt_error(label(domain), action);
    }
  }
  bool answer(int rc, const std::string& domain, const std::string& action) {
    check(rc, domain, action);
    return rc == 1;
  }
  unsigned count(int rc, const std::string& domain, const std::string& action) {
    check(rc, domain, action);
    return static_cast<unsigned>(rc);
  }

  std::string host_uuid() {
    const Text text(virConnectGetCapabilities(connection_.get()));
    tinyxml2::XMLDocument document;
    if (!text || document.Parse(text.get()) != tinyxml2::XML_SUCCESS) {
      return {};
    }
    const auto* uuid = tinyxml2::XMLConstHandle(document)
                           .FirstChildElement("capabilities")
                           .FirstChildElement("host")
                           .FirstChildElement("uuid")
                           .ToElement();
    return uuid && uuid->GetText() ? uuid->GetText() : "";
  }

  std::string uri_;
  Connection connection_;
};

unsigned migration_flags(const LiveMigration& migration) {
  // The source's definition goes only after the checks that follow.
  unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_ABORT_ON_ERROR;
  if (!migration.copy_disks.empty()) {
    flags |= VIR_MIGRATE_NON_SHARED_DISK;
  }
  if (migration.tls) {
    flags |= VIR_MIGRATE_TLS;
  }
  if (migration.auto_converge) {
    flags |= VIR_MIGRATE_AUTO_CONVERGE;
  }
  if (migration.parallel != 0) {
    flags |= VIR_MIGRATE_PARALLEL;
  }
  if (migration.synchronous_writes && !migration.copy_disks.empty()) {
    flags |= VIR_MIGRATE_NON_SHARED_SYNCHRONOUS_WRITES;
  }
  return flags;
}

void LibvirtHost::migrate(const std::string& domain, Hypervisor& target,
                          const LiveMigration& migration) {
  auto* other = dynamic_cast<LibvirtHost*>(&target);
  if (!other) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = label(domain),
                 .action = "migrate",
                 .cause = "the target is not a libvirt host"});
  }
  const DomainPtr found = find(domain);
  Parameters parameters;
  parameters.add(VIR_MIGRATE_PARAM_DEST_XML, migration.destination);
  parameters.add(VIR_MIGRATE_PARAM_PERSIST_XML, migration.persistent);
  for (const std::string& dev : migration.copy_disks) {
    parameters.add(VIR_MIGRATE_PARAM_MIGRATE_DISKS, dev);
  }
  if (!migration.migration_uri.empty()) {
    parameters.add(VIR_MIGRATE_PARAM_URI, migration.migration_uri);
  }
  if (!migration.listen_address.empty()) {
    parameters.add(VIR_MIGRATE_PARAM_LISTEN_ADDRESS, migration.listen_address);
  }
  if (migration.bandwidth != 0) {
    parameters.add(VIR_MIGRATE_PARAM_BANDWIDTH,
                   static_cast<unsigned long long>((migration.bandwidth + kMiB - 1) / kMiB));
  }
  if (migration.parallel != 0) {
    parameters.add(VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS, static_cast<int>(migration.parallel));
  }
  if (migration.max_downtime_ms != 0) {
    check(virDomainMigrateSetMaxDowntime(found.get(), migration.max_downtime_ms, 0), domain,
          "set the downtime");
  }
  const DomainPtr moved(virDomainMigrate3(found.get(), other->connection_.get(), *parameters.list(),
                                          static_cast<unsigned>(*parameters.count()),
                                          migration_flags(migration)));
  if (!moved) {
    throw libvirt_error(label(domain), "migrate to " + other->uri_);
  }
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

}  // namespace

std::shared_ptr<Hypervisor> connect_hypervisor(const std::string& uri) {
  return std::make_shared<LibvirtHost>(uri);
}

std::string libvirt_version() {
  unsigned long number = 0;  // major * 1,000,000 + minor * 1,000 + release
  if (virGetVersion(&number, nullptr, nullptr) != 0) {
    return "unknown";
  }
  return fmt::format("{}.{}.{}", number / 1'000'000, number / 1'000 % 1'000, number % 1'000);
}

}  // namespace vmferry
