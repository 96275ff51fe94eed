// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_world.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace vmferry::test {

void refuse(ErrorKind kind, const std::string& object, const std::string& cause) {
  throw Error({.kind = kind, .object = object, .action = {}, .cause = cause});
}

namespace {

bool on_cluster(const Job& job) {
  return std::any_of(job.goal.begin(), job.goal.end(),
                     [](const Layer& layer) { return layer.image.starts_with("rbd:"); });
}

/// What QEMU reads in an overlay's header: "rbd:pool/image:id=user", with backslashes before the
/// characters that part options.
std::string image_of_header(const std::string& backing) {
  if (!backing.starts_with("rbd:")) {
    return backing;
  }
  std::string name = "rbd:";
  for (size_t i = name.size(); i < backing.size() && backing[i] != ':'; ++i) {
    if (backing[i] == '\\' && i + 1 < backing.size()) {
      ++i;
    }
    name += backing[i];
  }
  return name;
}

}  // namespace

void World::arm(unsigned at, Fault fault, const std::string& only) {
  const std::lock_guard guard(mutex);
  calls_ = 0;
  matching_ = 0;
  only_ = only;
  at_ = at;
  fault_ = fault;
  struck_ = false;
  striking_ = false;
  released_ = false;
  where_.clear();
  log_.clear();
}

void World::release() {
  const std::lock_guard guard(mutex);
  released_ = true;
  changed_.notify_all();
}

Fault World::enter(std::unique_lock<std::mutex>& lock, const std::string& what) {
  lock_ = &lock;
  ++calls_;
  log_.push_back(what);
  const bool matches = only_.empty() || what == only_;
  striking_ = matches && ++matching_ == at_;
  if (hook) {
    hook(calls_, what);
  }
  tick();
  if (!striking_) {
    return Fault::kNone;
  }
  struck_ = true;
  where_ = what;
  if (fault_ == Fault::kFailBefore) {
    refuse(ErrorKind::kIo, "the world", failure);
  }
  if (fault_ == Fault::kKillBefore) {
    throw Killed{};
  }
  return fault_;
}

void World::leave(Fault fault) const {
  if (fault == Fault::kFailAfter) {
    refuse(ErrorKind::kIo, "the world", failure);
  }
  if (fault == Fault::kKillAfter) {
    throw Killed{};
  }
}

void World::middle() {
  tick();
  if (!striking_) {
    return;
  }
  if (fault_ == Fault::kFailMiddle) {
    refuse(ErrorKind::kIo, "the world", failure);
  }
  if (fault_ == Fault::kKillMiddle) {
    throw Killed{};
  }
}

void World::wait(const std::function<bool()>& ended) {
  std::unique_lock<std::mutex>* mine = lock_;
  // A look now and then, as a stop token tells nobody.
  while (!released_ && !ended()) {
    changed_.wait_for(*mine, std::chrono::milliseconds(2));
  }
  lock_ = mine;
}

Content World::view(const std::vector<Layer>& chain) const {
  Content content;
  for (auto layer = chain.rbegin(); layer != chain.rend(); ++layer) {
    const auto image = images.find(layer->image);
    if (image == images.end()) {
      continue;
    }
    for (const auto& [sector, value] : image->second.own) {
      content[sector] = value;
    }
  }
  return content;
}

Content World::view(const std::string& image) const {
  const auto found = images.find(image);
  if (found == images.end()) {
    return {};
  }
  Content content;
  if (!found->second.backing.empty()) {
    content = view(image_of_header(found->second.backing));
  }
  for (const auto& [sector, value] : found->second.own) {
    content[sector] = value;
  }
  return content;
}

std::vector<Layer> World::chain_of(const Layer& top) const {
  std::vector<Layer> chain = {top};
  while (chain.back().format == "qcow2") {
    const auto image = images.find(chain.back().image);
    if (image == images.end() || image->second.backing.empty()) {
      break;
    }
    if (image->second.declared) {
      chain.push_back(*image->second.declared);
      continue;
    }
    const std::string below = image_of_header(image->second.backing);
    const auto backing = images.find(below);
    chain.push_back(
        layer_of_image(below, backing == images.end() ? "raw" : backing->second.format));
  }
  return chain;
}

Image& World::require_image(const std::string& image) {
  const auto found = images.find(image);
  if (found == images.end()) {
    refuse(ErrorKind::kIo, image, "error reading header: No such file or directory");
  }
  return found->second;
}

void World::require_secret(const HostData& host, const Layer& layer) const {
  if (layer.secret.empty()) {
    return;
  }
  const auto found = host.secrets.find(layer.secret);
  if (found == host.secrets.end()) {
    refuse(ErrorKind::kIo, layer.image, "Secret not found: no secret with matching uuid");
  }
  if (found->second != key) {
    refuse(ErrorKind::kIo, layer.image, "error connecting: Connection timed out");
  }
}

void World::launch(HostData& host, DomainData& domain, bool paused) {
  std::map<std::string, LiveDisk> disks;
  for (const DefinedDisk& disk : read_definition(domain.stored).disks) {
    if (disk.chain.empty()) {
      continue;
    }
    LiveDisk live{.chain = chain_of(disk.chain.front()),
                  .job = {},
                  .discards = lets_discard(domain.stored, disk.dev)};
    for (const Layer& layer : live.chain) {
      require_secret(host, layer);
      if (require_image(layer.image).format != layer.format) {
        wrong(domain.name + " starts with " + layer.image + " as " + layer.format);
      }
    }
    if (disk.device == "disk" && !disk.readonly) {
      disks[disk.dev] = std::move(live);
    }
  }
  domain.running = domain.stored;
  domain.disks = std::move(disks);
  domain.state = paused ? DomainState::kPaused : DomainState::kRunning;
  domain.ran = !paused || domain.managed_save;  // its memory comes from there
  domain.managed_save = false;
  if (!paused) {
    runs_on(domain, host);
  }
  domain.stopping = 0;
}

void World::runs_on(const DomainData& domain, const HostData& host) {
  for (const auto& [name, each] : hosts) {
    if (&each == &host) {
      guests[domain.uuid].ran_on = name;
    }
  }
}

void World::stop(DomainData& domain) {
  domain.state = DomainState::kShutOff;
  domain.running.clear();
  domain.disks.clear();
  domain.has_job = false;
  domain.ran = false;
  domain.starting = false;
  domain.stopping = 0;
}

void World::act_late() {
  if (!late_ || --late_in_ != 0) {
    return;
  }
  const std::function<void()> act = std::exchange(late_, nullptr);
  try {
    act();
  } catch (const Error&) {
    return;  // there is nobody left to hear of it
  }
}

void World::tick() {
  act_late();
  std::map<std::string, std::string> runs;  // where each guest does
  for (auto& [host_name, host] : hosts) {
    for (auto& [name, domain] : host.domains) {
      if (!domain.active()) {
        continue;
      }
      live(domain);
      if (domain.state != DomainState::kRunning) {
        continue;
      }
      if (!runs.emplace(domain.uuid, host_name).second) {
        wrong("the guest runs on " + runs[domain.uuid] + " and on " + host_name);
      }
    }
  }
}

void World::live(DomainData& domain) {
  if (domain.stopping != 0 && --domain.stopping == 0) {
    return stop(domain);
  }
  GuestData& guest = guests[domain.uuid];
  for (auto& [dev, disk] : domain.disks) {
    if (disk.job) {
      advance(disk);
    }
    if (domain.state != DomainState::kRunning) {
      continue;
    }
    domain.ran = true;
    const uint64_t value = ++guest.counter;
    const auto sector = static_cast<unsigned>(value / 2 % kSectors);
    write(disk, sector, value);
    guest.wrote[dev][sector] = value;
  }
}

void World::write(LiveDisk& disk, unsigned sector, uint64_t value) {
  for (const Layer& layer : disk.chain) {
    if (!images.contains(layer.image)) {
      wrong("a guest runs on " + layer.image + ", which is gone");
    }
  }
  images[disk.chain.front().image].own[sector] = value;
  if (!disk.job || sector >= disk.job->progress * kSectors / kJobTicks) {
    return;
  }
  images[disk.job->goal.front().image].own[sector] = value;
}

void World::advance(LiveDisk& disk) {
  Job& job = *disk.job;
  if (job.ending != 0 && --job.ending == 0) {
    disk.job.reset();
    return;
  }
  if (job.progress >= kJobTicks || (stuck && on_cluster(job))) {
    return;
  }
  if (job.kind == BlockJob::Kind::kCommit) {
    return advance_commit(disk);
  }
  const unsigned begin = job.progress * kSectors / kJobTicks;
  const unsigned end = ++job.progress * kSectors / kJobTicks;
  const bool whole = job.kind == BlockJob::Kind::kCopy && !job.shallow;
  const Content from = whole ? view(disk.chain) : images[disk.chain.front().image].own;
  Content& to = images[job.goal.front().image].own;
  for (unsigned sector = begin; sector < end; ++sector) {
    if (const auto found = from.find(sector); found != from.end()) {
      to[sector] = found->second;
    } else if (whole) {
      to.erase(sector);
    }
  }
}

void World::advance_commit(LiveDisk& disk) {
  Job& job = *disk.job;
  const auto top = std::find_if(disk.chain.begin(), disk.chain.end(),
                                [&](const Layer& layer) { return layer.image == job.top; });
  const Layer base = *(top + 1);
  const unsigned end = ++job.progress * kSectors / kJobTicks;
  for (const auto& [sector, value] : images[job.top].own) {
    if (sector < end) {
      images[base.image].own[sector] = value;
    }
  }
  if (job.progress < kJobTicks) {
    return;
  }
  Image& above = images[(top - 1)->image];
  above.backing = base.image;
  above.declared = base;
  disk.chain = job.goal;
  disk.job.reset();
}

void World::finish_job(DomainData& domain, const std::string& dev) {
  LiveDisk& disk = domain.disks.at(dev);
  const std::string before = disk.chain.front().image;
  disk.chain = disk.job->goal;
  disk.job.reset();
  domain.running = with_image(domain.running, dev, disk.chain.front());
  disk.discards = lets_discard(domain.running, dev);
  if (domain.stored.empty()) {
    return;
  }
  // libvirt follows in the persistent definition only where it named the same image.
  for (const DefinedDisk& stored : read_definition(domain.stored).disks) {
    if (stored.dev == dev && !stored.chain.empty() && stored.chain.front().image == before) {
      domain.stored = with_image(domain.stored, dev, disk.chain.front());
    }
  }
}

}  // namespace vmferry::test
