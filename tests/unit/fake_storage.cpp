// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tests/unit/fake_storage.h"

#include "vmferry/error.h"

namespace vmferry::test {
namespace {

/// What a copy has beside its target until it is whole.
std::string unfinished(const std::string& image) { return image + ".part"; }

/// The world's name of it.
std::string name_of(const HostImage& image) { return image.display(); }

}  // namespace

std::string identity_of(const std::string& path, const Image& image) {
  return path + "#" + std::to_string(image.file);
}

PoolFacts FakeStorage::pool(const std::string& pool) {
  return world_->call("pool", [&] { return world_->pools[pool]; });
}

void FakeStorage::prove_access(const std::string& pool) {
  world_->call("prove_access", [&] {
    if (!world_->pools[pool].health.empty()) {
      refuse(ErrorKind::kIo, pool, world_->pools[pool].health);
    }
  });
}

void FakeStorage::prove_base(const std::string& base) {
  world_->call("prove_base", [&] {
    if (!world_->images.contains(base)) {
      refuse(ErrorKind::kNotFound, base, "no such snapshot");
    }
  });
}

Usage FakeStorage::usage(const std::string& image) {
  const Image& found = world_->require_image(image);
  return {.virtual_bytes = found.size, .allocated_bytes = found.own.size() * kClusterBytes};
}

std::optional<Usage> FakeStorage::volume(const VolumeName& volume) {
  return world_->call("volume", [&]() -> std::optional<Usage> {
    if (!world_->images.contains(volume.display())) {
      return std::nullopt;
    }
    return usage(volume.display());
  });
}

void FakeStorage::refuse_existing(const std::string& image) {
  if (!world_->images.contains(image)) {
    return;
  }
  throw Error({.kind = ErrorKind::kConflict,
               .object = image,
               .action = {},
               .cause = "it exists",
               .hint = "choose another name, or replace it with --force"});
}

void FakeStorage::create(const std::string& image, Image content, const Made& made) {
  refuse_existing(image);
  content.file = ++world_->files;
  if (made) {
    made(identity_of(image, content));
  }
  world_->images[image] = std::move(content);
}

bool FakeStorage::is_another(const std::string& image,
                             const std::optional<std::string>& identity) const {
  const auto found = world_->images.find(image);
  return identity && found != world_->images.end() &&
         identity_of(image, found->second) != *identity;
}

std::string FakeStorage::identity(const VolumeName& volume) {
  return world_->call("identity", [&]() -> std::string {
    const auto found = world_->images.find(volume.display());
    return found == world_->images.end() ? "" : identity_of(volume.display(), found->second);
  });
}

std::vector<std::string> FakeStorage::volumes(const std::string& pool) {
  return world_->call("volumes", [&] {
    const std::string prefix = "rbd:" + pool + "/";
    std::vector<std::string> names;
    for (const auto& [name, image] : world_->images) {
      if (name.starts_with(prefix)) {
        names.push_back(name.substr(prefix.size()));
      }
    }
    return names;
  });
}

size_t FakeStorage::writers(const VolumeName& volume) {
  return world_->call("writers", [&] {
    world_->require_image(volume.display());
    return world_->users_of(volume.display()) + (world_->ghosts ? world_->ghosts-- : 0);
  });
}

void FakeStorage::create_volume(const VolumeName& volume, uint64_t size, const Made& made) {
  world_->call("create_volume",
               [&] { create(volume.display(), {.format = "raw", .size = size}, made); });
}

bool FakeStorage::remove_volume(const VolumeName& volume,
                                const std::optional<std::string>& identity) {
  return world_->call("remove_volume", [&] {
    if (is_another(volume.display(), identity)) {
      world_->images.erase(unfinished(volume.display()));
      return false;
    }
    if (world_->left_open.contains(volume.display())) {
      refuse(ErrorKind::kConflict, volume.display(), "a client has it open");
    }
    world_->images.erase(unfinished(volume.display()));
    if (world_->in_use(volume.display())) {
      refuse(ErrorKind::kConflict, volume.display(), "image still has watchers");
    }
    world_->remove_image(volume.display());
    return true;
  });
}

void FakeStorage::sparsify_volume(const VolumeName& volume) {
  world_->call("sparsify_volume", [&] { world_->require_image(volume.display()); });
}

std::string FakeStorage::user_key() {
  return world_->call("user_key", [&] { return world_->key; });
}

bool FakeStorage::fits(const std::string& from, const std::string& to) const {
  const auto checkpoint = world_->checkpoints.find(unfinished(to));
  return world_->images.contains(unfinished(to)) && checkpoint != world_->checkpoints.end() &&
         checkpoint->second == world_->view(from);
}

CopyDone FakeStorage::copy(const std::string& what, const std::string& from, const std::string& to,
                           const ImageFormat& format, const CopyTerms& terms, const Made& made) {
  uint64_t kept = 0;
  const auto act = [&] {
    if (terms.stop.stop_requested()) {
      throw cancelled_error();
    }
    refuse_existing(to);
    const uint64_t size = world_->require_image(from).size;
    const Content before = world_->view(from);
    Content first_half = before;
    first_half.erase(first_half.lower_bound(kSectors / 2), first_half.end());
    if (terms.resume && fits(from, to)) {
      first_half = world_->images[unfinished(to)].own;
      kept = first_half.size() * kClusterBytes;
    }
    world_->images[unfinished(to)] = {.format = format.name(), .size = size, .own = first_half};
    world_->checkpoints.erase(unfinished(to));
    if (world_->hangs()) {
      world_->wait([&] { return terms.stop.stop_requested(); });
      if (terms.stop.stop_requested()) {
        world_->images.erase(unfinished(to));
        throw cancelled_error();
      }
    }
    if (world_->makes_checkpoints && !format.is_container()) {
      world_->checkpoints[unfinished(to)] = before;
    }
    world_->middle();
    if (world_->view(from) != before) {
      world_->wrong(what + " of " + from + ", which changes");
    }
    Content whole = before;
    for (const auto& [sector, value] : first_half) {
      whole[sector] = value;
    }
    world_->images.erase(unfinished(to));
    create(to, {.format = format.name(), .size = size, .backing = {}, .own = whole}, made);
  };
  world_->call(what, act, true);
  return {.kept_bytes = kept, .digest = "a digest"};
}

CopyDone FakeStorage::copy_in(const HostImage& image, const VolumeName& volume,
                              const CopyTerms& terms, const Made& made) {
  if (terms.breaks != nullptr && world_->on_rungs) {
    return copy_on_rungs(image, volume, terms, made);
  }
  CopyDone done = copy("copy_in", name_of(image), volume.display(), ImageFormat(), terms, made);
  world_->images[volume.display()].base = terms.base;
  return done;
}

CopyDone FakeStorage::copy_out(const VolumeName& volume, const std::string& path,
                               const ImageLayout& layout, const CopyTerms& terms,
                               const Made& made) {
  return copy("copy_out", volume.display(), path, layout.format, terms, made);
}

bool FakeStorage::can_resume_in(const HostImage& image, const VolumeName& volume) {
  return world_->call("can_resume_in", [&] { return fits(name_of(image), volume.display()); });
}

bool FakeStorage::can_resume_out(const VolumeName& volume, const std::string& path) {
  return world_->call("can_resume_out", [&] { return fits(volume.display(), path); });
}

bool FakeStorage::same(const HostImage& image, const VolumeName& volume, std::stop_token stop) {
  return world_->call("same", [&] {
    if (stop.stop_requested()) {
      throw cancelled_error();
    }
    if (world_->require_image(name_of(image)).format != image.format.name()) {
      world_->wrong("reads " + name_of(image) + " as " + image.format.name());
    }
    world_->require_image(volume.display());
    return world_->view(name_of(image)) == world_->view(volume.display());
  });
}

Usage FakeStorage::image_usage(const HostImage& image) {
  return world_->call("image_usage", [&] { return usage(name_of(image)); });
}

ImageParts FakeStorage::image_parts(const HostImage& image) {
  return world_->call("image_parts", [&] {
    const std::string itself = name_of(image);
    if (image.volume && !world_->images.contains(itself)) {
      refuse(ErrorKind::kNotFound, itself, "no such volume");
    }
    ImageParts parts;
    parts.snapshots = world_->require_image(itself).snapshots;
    for (const std::string& mark : old_snapshots(itself)) {
      parts.snapshots.push_back(mark);
    }
    parts.written = image.volume && world_->in_use(itself);
    for (std::string name = itself; !name.empty(); name = world_->require_image(name).backing) {
      parts.files.push_back(identity_of(name, world_->require_image(name)));
      if (name != itself) {
        parts.backing.push_back(name);
      }
    }
    return parts;
  });
}

std::optional<FileLook> FakeStorage::look(const std::string& path) {
  return world_->call("look", [&]() -> std::optional<FileLook> {
    if (!world_->images.contains(path)) {
      return std::nullopt;
    }
    return FileLook{.identity = identity_of(path, world_->images[path]), .real = path};
  });
}

void FakeStorage::remove_image(const HostImage& image) {
  world_->call("remove_image", [&] {
    const std::string name = name_of(image);
    if (!world_->images.contains(name)) {
      return;
    }
    if (identity_of(name, world_->images[name]) != image.identity) {
      refuse(ErrorKind::kConflict, name, "it is not what was copied any more");
    }
    if (image.volume && !(world_->images[name].snapshots.empty() && old_snapshots(name).empty())) {
      refuse(ErrorKind::kConflict, name, "it has snapshots");
    }
    world_->remove_image(name);
  });
}

void FakeStorage::remove_old_file(const OldFile& file) {
  world_->call("remove_old_file", [&] {
    if (!world_->images.contains(file.path)) {
      return;
    }
    if (identity_of(file.path, world_->images[file.path]) != file.identity) {
      refuse(ErrorKind::kConflict, file.path, "it is not the file any more that was copied");
    }
    world_->remove_image(file.path);
  });
}

uint64_t FakeStorage::file_allocation(const std::string& path) {
  return world_->call("file_allocation", [&] {
    const uint64_t tables = world_->require_image(path).format == "qcow2" ? 4 * kClusterBytes : 0;
    const uint64_t used = usage(path).allocated_bytes;
    const bool is_large = !world_->on_rungs || world_->large_overlays;
    return tables + (is_large ? used : std::min(used, kClusterBytes));
  });
}

bool FakeStorage::remove_file(const std::string& path, const std::optional<std::string>& identity) {
  return world_->call("remove_file", [&] {
    world_->images.erase(unfinished(path));
    if (is_another(path, identity)) {
      return false;
    }
    world_->remove_image(path);
    return true;
  });
}

}  // namespace vmferry::test
