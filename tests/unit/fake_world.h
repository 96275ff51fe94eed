// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/fake_definition.h"
#include "vmferry/error.h"
#include "vmferry/migrate.h"

// A model of two libvirt hosts, their files and a cluster. A guest that runs writes to its disks at
// every call that the driver makes, so whatever loses a write, or shows the guest an old one, is
// seen at the end. What no driver may ever do is written down in `wrongs`.

namespace vmferry::test {

/// The process died at this call. No vmferry::Error: nothing in the driver may handle it.
struct Killed {};

/// What a disk holds: few sectors, and the number that was last written to each.
using Content = std::map<unsigned, uint64_t>;
inline constexpr unsigned kSectors = 8;

struct Image {
  std::string format = "raw";
  uint64_t size = 0;
  std::string backing = {};  ///< what its header names
  /// The same as definitions name it: libvirt keeps what was under a snapshot, with its secret.
  std::optional<Layer> declared = {};
  Content own = {};
  std::string base = {};                      ///< the snapshot that it was made a clone of
  std::vector<std::string> snapshots = {};    ///< inside of it
  unsigned file = 0;                          ///< another number: another file of the same name
  std::map<std::string, Content> marks = {};  ///< what a volume held when it was marked
};

struct DomainData {
  std::string name;
  std::string uuid;
  DomainState state = DomainState::kShutOff;
  std::string stored;   ///< the persistent definition; empty: transient
  std::string running;  ///< what it was started with, with the disks' images of now
  std::map<std::string, LiveDisk> disks;  ///< of a running one
  bool autostart = false;
  bool managed_save = false;
  bool agent = true;
  std::string console = {};  ///< what it says next
  bool has_job = false;
  bool ran = false;  ///< since its start it executed instructions: its memory is worth something
  bool incoming = false;  ///< the half-made target of a migration
  bool starting = false;  ///< paused, as libvirt died in its start
  bool ignores_button = false;
  unsigned stopping = 0;                            ///< asked to shut down: so many ticks to go
  unsigned snapshots = 0;                           ///< of which nothing but their number is known
  std::vector<KnownSnapshot> known_snapshots = {};  ///< the others
  std::vector<std::string> checkpoints = {};
  std::vector<std::string> migration_blockers = {};

  bool active() const { return state == DomainState::kRunning || state == DomainState::kPaused; }
};

struct HostData {
  HostFacts facts;
  std::map<std::string, DomainData> domains;
  std::map<std::string, std::string> secrets;  ///< keys by UUID or usage
  /// Likewise: those that are private, without a value, or for something else.
  std::map<std::string, FoundSecret> odd_secrets;
  bool secret_driver = true;
  uint64_t free_memory = uint64_t{64} << 30;  ///< bytes
  std::set<std::string> networks = {"default"};
  std::string refuses;  ///< what validate() throws; empty: it takes everything
};

/// The guest itself, wherever it runs.
struct GuestData {
  uint64_t counter = 0;
  std::map<std::string, Content> wrote;  ///< by target: what its disks must hold
  unsigned lost_power = 0;               ///< times that a running one was destroyed
  std::string ran_on = {};               ///< the host that it ran on last
};

enum class Fault {
  kNone,
  kFailBefore,  ///< an error, and nothing was done
  kFailMiddle,  ///< of calls that take long: half of it was done
  kFailAfter,   ///< an error, although it was done
  kKillBefore,
  kKillMiddle,
  kKillAfter,
  kKillLate,  ///< of calls that libvirt goes on with: it does it some moments after its client died
  kHang,      ///< until released, or ended by its own way to end it
};

class World {
 public:
  // Everything below is guarded by the mutex while a driver works.
  std::mutex mutex;
  std::map<std::string, Image> images;
  bool makes_checkpoints = true;               ///< copies live to their first one
  std::map<std::string, Content> checkpoints;  ///< by what is unfinished: its source, as it was
  unsigned files = 0;                          ///< that storage has made: Image::file of the last
  std::map<std::string, HostData> hosts;
  std::map<std::string, GuestData> guests;  ///< by UUID
  std::map<std::string, PoolFacts> pools;
  std::string key;                              ///< of the Ceph user
  uint64_t room = uint64_t{64} << 30;           ///< free bytes of every file system
  std::set<std::string> left_open;              ///< volumes that a QEMU has open for nothing
  std::set<std::string> foreign;                ///< images that nobody may remove
  std::string failure = "an injected failure";  ///< what a call says that fails
  uint64_t qemu_cuts = 0;          ///< bytes of a disk that a guest does not see: its format is odd
  bool stuck = false;              ///< the cluster stands still: no job on it gets anywhere
  unsigned late_ticks = 12;        ///< until libvirt has done what a dead client asked for
  unsigned unseen_ticks = 5;       ///< of those: until it has begun, and says that it is busy
  bool on_rungs = false;           ///< copies that may have breaks wait for one in their middle
  bool large_overlays = false;     ///< there, and meanwhile; elsewhere what they hold tells
  unsigned ghosts = 0;             ///< dead clients that are still seen; one less each time
  bool agents_come_up = true;      ///< in transient domains
  std::string boot_messages = {};  ///< of those
  bool deaf = false;               ///< a hanging migration ignores its abort
  std::vector<std::string> wrongs;  ///< what must never happen

  /// The n-th call from now on (or the n-th that is called `only`) fails in that way; 0: none does.
  void arm(unsigned at, Fault fault, const std::string& only = {});
  /// Called at each call, with its number and what it is.
  std::function<void(unsigned, const std::string&)> hook;
  unsigned calls() const { return calls_; }
  /// Does no call act or hang? This and the next also while a driver works.
  bool idle() {
    const std::lock_guard guard(mutex);
    return inside_ == 0;
  }
  bool struck() {
    const std::lock_guard guard(mutex);
    return struck_;
  }
  const std::string& where() const { return where_; }
  const std::vector<std::string>& log() const { return log_; }
  /// Lets a hanging call go on.
  void release();

  /// One call of the driver. `act` does it, with the mutex held; a call that hangs does it when
  /// released, unless `act` itself looks after that.
  template <typename Act>
  auto call(const std::string& what, Act&& act, bool hangs_itself = false) -> decltype(act()) {
    std::unique_lock lock(mutex);
    const Inside counted(inside_);
    const Fault fault = enter(lock, what);
    if (fault == Fault::kHang && !hangs_itself) {
      wait([] { return false; });
    }
    if constexpr (std::is_void_v<decltype(act())>) {
      act();
      leave(fault);
    } else {
      auto result = act();
      leave(fault);
      return result;
    }
  }
  /// The same for what libvirt does to the end though its client dies. `act` owns what it needs.
  void call_of_daemon(const std::string& what, const std::function<void()>& act) {
    call(what, [&] {
      if (striking_ && fault_ == Fault::kKillLate) {
        late_ = act;
        late_in_ = late_ticks;
        throw Killed{};
      }
      act();
    });
  }
  /// Is libvirt at what a dead client asked for?
  bool busy() const { return late_ && late_in_ + unseen_ticks <= late_ticks; }
  /// For acts that take long: the place where a fault in the middle strikes.
  void middle();
  /// Of the call that acts: shall it hang?
  bool hangs() const { return striking_ && fault_ == Fault::kHang; }
  /// Until released, or `ended`; gives the mutex up meanwhile.
  void wait(const std::function<bool()>& ended);

  /// One moment of everybody's life: guests write, jobs go on.
  void tick();
  /// What a guest sees through `chain`, and through an image with those that its header names.
  Content view(const std::vector<Layer>& chain) const;
  Content view(const std::string& image) const;
  std::vector<Layer> chain_of(const Layer& top) const;

  void stop(DomainData& domain);
  void launch(HostData& host, DomainData& domain, bool paused);
  void runs_on(const DomainData& domain, const HostData& host);
  void require_secret(const HostData& host, const Layer& layer) const;
  Image& require_image(const std::string& image);
  void finish_job(DomainData& domain, const std::string& dev);
  /// Of the images that definitions and running guests depend on.
  bool in_use(const std::string& image) const { return users_of(image) != 0; }
  size_t users_of(const std::string& image) const;  ///< running guests
  bool named(const std::string& image) const;
  void remove_image(const std::string& image);
  /// All but what guests wrote, as a text to compare.
  std::string outline() const;
  void wrong(const std::string& what) { wrongs.push_back(what); }

 private:
  struct Inside {
    explicit Inside(unsigned& calls) : count(calls) { ++count; }
    ~Inside() { --count; }
    Inside(const Inside&) = delete;
    unsigned& count;
  };
  Fault enter(std::unique_lock<std::mutex>& lock, const std::string& what);
  void leave(Fault fault) const;
  void live(DomainData& domain);
  void act_late();
  void write(LiveDisk& disk, unsigned sector, uint64_t value);
  void advance(LiveDisk& disk);
  /// Of a commit into an image that is not the guest's own, which ends by itself.
  void advance_commit(LiveDisk& disk);
  std::vector<std::string> images_of(const LiveDisk& disk) const;

  std::unique_lock<std::mutex>* lock_ = nullptr;  ///< of the call that acts
  std::condition_variable changed_;
  unsigned calls_ = 0;
  unsigned inside_ = 0;
  unsigned at_ = 0;
  std::string only_;
  unsigned matching_ = 0;  ///< calls so far of which the n-th fails
  Fault fault_ = Fault::kNone;
  bool struck_ = false;
  bool striking_ = false;
  bool released_ = false;
  std::function<void()> late_;
  unsigned late_in_ = 0;
  std::string where_;
  std::vector<std::string> log_;
};

/// An Error as libvirt or Ceph would give it.
[[noreturn]] void refuse(ErrorKind kind, const std::string& object, const std::string& cause);

}  // namespace vmferry::test
