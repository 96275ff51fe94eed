// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>

#include "lib/core/format_bytes.h"
#include "lib/core/parse_size.h"
#include "lib/core/printable.h"
#include "lib/fleet/plan_table.h"
#include "lib/fleet/plan_ways.h"
#include "lib/fleet/plan_words.h"
#include "lib/fleet/window.h"
#include "vmferry/error.h"
#include "vmferry/fleet.h"
#include "vmferry/location.h"

namespace vmferry {
namespace fleet {
namespace {

constexpr int64_t kMostAtOnce = 100'000;

/// The line of each, to tell of one that is there twice.
class Seen {
 public:
  /// The line where `text` was first; nothing: it is new.
  std::optional<size_t> before(const std::string& text, size_t line) {
    const auto [at, is_new] = lines_.emplace(text, line);
    return is_new ? std::nullopt : std::optional(at->second);
  }

 private:
  std::map<std::string, size_t> lines_;
};

bool is_uuid(std::string_view text) {
  constexpr std::string_view kShape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return std::equal(text.begin(), text.end(), kShape.begin(), kShape.end(), [](char c, char shape) {
    return shape == '-'
               ? c == '-'
               : (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

class PlanReader {
 public:
  PlanReader(const toml::table& table, const std::string& name)
      : name_(name), problems_(name), root_(table, "the plan", 1, problems_) {}

  FleetPlan read() {
    format();
    plan_.pool = root_.required_text("pool").value_or("");
    check_pool(root_, "pool", plan_.pool);
    ceph();
    limits();
    const std::vector<const toml::table*> guests = root_.tables("guest");
    for (const toml::table* guest : guests) {
      job(*guest);
    }
    const std::vector<const toml::table*> volumes = root_.tables("volume");
    for (const toml::table* each : volumes) {
      volume(*each);
    }
    if (guests.empty() && volumes.empty()) {
      problems_.add(1, "the plan has no [[guest]] and no [[volume]]: there is nothing to do");
    }
    root_.refuse_unknown();
    problems_.refuse_any();
    return std::move(plan_);
  }

 private:
  /// What another format looks like, nobody knows: it is all that is said of it.
  void format() {
    const std::optional<int64_t> format =
        root_.number("format", 1, std::numeric_limits<int64_t>::max());
    if (!format) {
      problems_.add(
          1, fmt::format("the plan has no format; this one is: format = {}", kFleetPlanFormat));
      return problems_.refuse_any();
    }
    if (*format > kFleetPlanFormat) {
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = fmt::format("{}:{}", name_, root_.line_of("format")),
                   .action = {},
                   .cause = fmt::format("format {} is of a newer vmferry; this one reads format {}",
                                        *format, kFleetPlanFormat),
                   .hint = "use that vmferry, or make the plan anew with this one"});
    }
  }

  /// What a function of the library says of a value that a person wrote.
  template <typename Check>
  bool passes(PlanTable& table, const char* key, Check&& check) {
    try {
      check();
      return true;
    } catch (const Error& error) {
      table.problem(key, fmt::format("'{}': {}", key, error.what()));
      return false;
    }
  }

  void check_pool(PlanTable& table, const char* key, const std::string& pool) {
    if (!pool.empty()) {
      passes(table, key, [&] { check_target(RbdTarget{.pool = pool, .image = "x"}); });
    }
  }

  void ceph() {
    const toml::table* table = root_.table("ceph");
    if (table == nullptr) {
      return;
    }
    PlanTable keys(*table, "[ceph]", root_.line_of("ceph"), problems_);
    FleetCeph& ceph = plan_.ceph;
    ceph.id = keys.text("id").value_or("");
    ceph.secret.uuid = keys.text("secret_uuid").value_or("");
    ceph.secret.usage = keys.text("secret_usage").value_or("");
    ceph.define_secret = keys.flag("define_secret").value_or(false);
    ceph.data_pool = keys.text("data_pool").value_or("");
    for (const auto& monitor : keys.texts("monitors")) {
      passes(keys, "monitors", [&] { ceph.monitors.push_back(parse_monitor(monitor.first)); });
    }
    check_pool(keys, "data_pool", ceph.data_pool);
    const bool secret =
        ceph.define_secret || !ceph.secret.uuid.empty() || !ceph.secret.usage.empty();
    if (!ceph.secret.uuid.empty() && !ceph.secret.usage.empty()) {
      keys.problem("secret_usage", "'secret_uuid' and 'secret_usage' name one secret twice");
    } else if (secret && ceph.id.empty()) {
      problems_.add(keys.line(), "[ceph] has a secret, but no 'id' of the user whose key it is");
    } else if (!ceph.id.empty()) {
      passes(keys, "id", [&] {
        check_target(RbdTarget{.pool = "x",
                               .image = "x",
                               .monitors = ceph.monitors,
                               .id = ceph.id,
                               .secret_uuid = ceph.secret.uuid,
                               .secret_usage = ceph.secret.uuid.empty() && ceph.secret.usage.empty()
                                                   ? "x"
                                                   : ceph.secret.usage});
      });
    }
    keys.refuse_unknown();
  }

  void count(PlanTable& keys, const char* key, unsigned& value) {
    value = static_cast<unsigned>(keys.number(key, 1, kMostAtOnce).value_or(value));
  }

  std::vector<FleetWindow> hours(PlanTable& keys, const char* key) {
    std::vector<FleetWindow> windows;
    for (const auto& [text, line] : keys.texts(key)) {
      if (const std::optional<FleetWindow> window = window_of(text)) {
        windows.push_back(*window);
      } else {
        problems_.add(line, fmt::format("'{}' has \"{}\"; a part of the day is \"22:00-06:00\"",
                                        key, printable(text)));
      }
    }
    return windows;
  }

  void limits() {
    const toml::table* table = root_.table("limits");
    if (table == nullptr) {
      return;
    }
    PlanTable keys(*table, "[limits]", root_.line_of("limits"), problems_);
    FleetLimits& limits = plan_.limits;
    count(keys, "jobs", limits.jobs);
    count(keys, "jobs_per_host", limits.jobs_per_host);
    count(keys, "jobs_per_target_host", limits.jobs_per_target_host);
    if (const std::optional<std::string> text = keys.text("bandwidth")) {
      passes(keys, "bandwidth", [&] { limits.bandwidth = parse_size(*text); });
    }
    limits.window = hours(keys, "window");
    limits.cutover_window = hours(keys, "cutover_window");
    if (const std::optional<int64_t> failures =
            keys.number("stop_after_failures", 1, kMostAtOnce)) {
      limits.stop_after_failures = static_cast<unsigned>(*failures);
    }
    limits.wait_for_health = keys.flag("wait_for_health").value_or(limits.wait_for_health);
    keys.refuse_unknown();
  }

  void job(const toml::table& table) {
    PlanTable keys(table, "[[guest]]", table.source().begin.line, problems_);
    FleetJob job;
    job.name = keys.required_text("name").value_or("");
    job.connect = keys.required_text("connect").value_or("");
    job.host = keys.required_text("host").value_or("");
    job.uuid = keys.required_text("uuid").value_or("");
    job.to = keys.text("to").value_or("");
    job.target_host = keys.text("target_host").value_or("");
    const PlannedWay way =
        word(keys, "way", kWays, keys.required_text("way")).value_or(PlannedWay());
    job.way = way.mode;
    job.warm = way.warm;
    job.wave = wave(keys);
    read_ways(keys, job);
    job.on_death = word(keys, "on_death", kEnds, keys.text("on_death")).value_or(job.on_death);
    job.data = static_cast<uint64_t>(
        keys.number("data", 0, std::numeric_limits<int64_t>::max()).value_or(0));
    const std::vector<const toml::table*> disks = keys.tables("disk");
    Seen devs;
    for (const toml::table* each : disks) {
      disk(*each, job, devs);
    }
    if (disks.empty()) {
      problems_.add(keys.line(), "[[guest]] has no [[guest.disk]]: none of its disks would move");
    }
    keys.refuse_unknown();
    check_ways(keys, job);
    check_hosts(keys, job);
    check_twice(keys, job);
    plan_.jobs.push_back(std::move(job));
  }

  static unsigned wave(PlanTable& keys) {
    return static_cast<unsigned>(keys.number("wave", 1, kMostWaves).value_or(1));
  }

  void volume(const toml::table& table) {
    PlanTable keys(table, "[[volume]]", table.source().begin.line, problems_);
    FleetJob job;
    job.task = FleetTask::kSparsify;
    job.host = keys.required_text("host").value_or("");
    job.wave = wave(keys);
    target(keys, "image", job.disks.emplace_back());
    job.name = job.disks.front().target.display();
    keys.refuse_unknown();
    plan_.jobs.push_back(std::move(job));
  }

  template <typename Words>
  auto word(PlanTable& keys, const char* key, const Words& words,
            const std::optional<std::string>& text)
      -> std::optional<decltype(words.front().second)> {
    if (!text) {
      return std::nullopt;
    }
    for (const auto& [name, meant] : words) {
      if (*text == name) {
        return meant;
      }
    }
    keys.problem(key, fmt::format("'{}' is \"{}\"; it has to be {}", key, printable(*text),
                                  all_words(words)));
    return std::nullopt;
  }

  void check_hosts(PlanTable& keys, const FleetJob& job) {
    if (!job.uuid.empty() && !is_uuid(job.uuid)) {
      keys.problem("uuid",
                   fmt::format("'uuid' is \"{}\", which is not a UUID", printable(job.uuid)));
    }
    if (job.to.empty() != job.target_host.empty()) {
      problems_.add(keys.line(),
                    "'to' and 'target_host' go together: a libvirt URI, and the name of that host");
    } else if (!job.host.empty() && job.target_host == job.host) {
      keys.problem("target_host",
                   "'target_host' is the guest's own host; leave it and 'to' out to "
                   "move the disks only");
    }
  }

  void check_twice(PlanTable& keys, const FleetJob& job) {
    const auto refuse = [&](const char* key, const std::string& what,
                            const std::optional<size_t>& before) {
      if (before) {
        keys.problem(key, fmt::format("{}, as in line {}", printable(what), *before));
      }
    };
    const size_t line = keys.line();
    const bool named = !job.name.empty() && !job.host.empty();
    std::optional<size_t> before;
    if (named) {
      before = guests_.before(job.host + '\n' + job.name, line);
      refuse("name", fmt::format("{} of {} is there twice", job.name, job.host), before);
    }
    if (!job.uuid.empty() && !before) {
      std::string lower = job.uuid;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
      refuse("uuid", "a guest has this UUID already", uuids_.before(lower, line));
    }
    if (named && !before && !job.target_host.empty()) {
      refuse("target_host",
             fmt::format("a guest named {} goes to {} already", job.name, job.target_host),
             arrivals_.before(job.target_host + '\n' + job.name, line));
    }
  }

  void disk(const toml::table& table, FleetJob& job, Seen& devs) {
    PlanTable keys(table, "[[guest.disk]]", table.source().begin.line, problems_);
    FleetDisk disk;
    disk.dev = keys.required_text("dev").value_or("");
    target(keys, "target", disk);
    if (const std::optional<std::string> base = keys.text("base")) {
      passes(keys, "base", [&] { disk.base = base_of(*base); });
    }
    keys.refuse_unknown();
    if (!disk.dev.empty()) {
      if (const auto before = devs.before(disk.dev, keys.line())) {
        keys.problem("dev",
                     fmt::format("{} is there twice, as in line {}", printable(disk.dev), *before));
      }
    }
    job.disks.push_back(std::move(disk));
  }

  /// The volume that a key names, which nothing else of the plan works on.
  void target(PlanTable& keys, const char* key, FleetDisk& disk) {
    const std::optional<std::string> text = keys.required_text(key);
    if (text && passes(keys, key, [&] { disk.target = volume_of(*text); })) {
      if (const auto before = targets_.before(disk.target.display(), keys.line_of(key))) {
        keys.problem(key, fmt::format("{} is in the plan already, in line {}",
                                      disk.target.display(), *before));
      }
    }
  }

  static VolumeName volume_of(const std::string& text) {
    const RbdLocation volume = parse_rbd_location(text);
    const bool plain =
        volume.name_space.empty() && volume.snapshot.empty() && volume.options.empty();
    if (!plain) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = volume.display(),
                   .action = {},
                   .cause = "a target is rbd:POOL/IMAGE, without namespace, snapshot and options"});
    }
    check_target(RbdTarget{.pool = volume.pool, .image = volume.image});
    return {volume.pool, volume.image};
  }

  static std::string base_of(const std::string& text) {
    const RbdLocation base = parse_rbd_location(text);
    if (base.snapshot.empty() || !base.options.empty()) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = base.display(),
                   .action = {},
                   .cause = "a base is rbd:POOL/IMAGE@SNAPSHOT, without options"});
    }
    return base.display();
  }

  const std::string name_;
  PlanProblems problems_;
  PlanTable root_;
  FleetPlan plan_;
  Seen guests_;
  Seen uuids_;
  Seen arrivals_;
  Seen targets_;
};

}  // namespace
}  // namespace fleet

FleetPlan read_plan(std::string_view text, const std::string& name) {
  if (text.size() > kMaxPlanBytes) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = name,
                 .action = {},
                 .cause = fmt::format("it has {}, and a plan has {} at most",
                                      exact_bytes(text.size()), exact_bytes(kMaxPlanBytes))});
  }
  const toml::table table = fleet::parse_toml(text, name);
  return fleet::PlanReader(table, name).read();
}

}  // namespace vmferry
