// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <thread>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/store/file/temporary_file.h"
#include "lib/store/rbd/rbd_cluster.h"
#include "lib/store/rbd/rbd_marks.h"
#include "lib/store/rbd/rbd_names.h"
#include "lib/store/rbd/rbd_refusal.h"

namespace vmferry {
namespace {

using namespace std::chrono_literals;

constexpr int kMostOfOneName = 100;  // volumes of one name that kills have left in the trash

struct Feature {
  const char* name;
  uint64_t bit;
};
// The features that "rbd create --image-feature" takes.
constexpr Feature kFeatures[] = {
    {"layering", RBD_FEATURE_LAYERING},         {"exclusive-lock", RBD_FEATURE_EXCLUSIVE_LOCK},
    {"object-map", RBD_FEATURE_OBJECT_MAP},     {"fast-diff", RBD_FEATURE_FAST_DIFF},
    {"deep-flatten", RBD_FEATURE_DEEP_FLATTEN}, {"journaling", RBD_FEATURE_JOURNALING}};

Error bad_layout(const RbdLocation& location, std::string cause, std::string hint) {
  return Error({.kind = ErrorKind::kUsage,
                .object = location.display(),
                .action = "create",
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

Error no_data_pool(const RbdLocation& location, const RbdLayout& layout) {
  return bad_layout(location, "there is no data pool '" + layout.data_pool + "'",
                    "'ceph osd pool ls' shows those there are");
}

uint64_t feature_bits(const RbdLocation& location, const std::vector<std::string>& names) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    const auto* found = std::find_if(std::begin(kFeatures), std::end(kFeatures),
                                     [&](const Feature& feature) { return name == feature.name; });
    if (found == std::end(kFeatures)) {
      std::string known;
      for (const Feature& feature : kFeatures) {
        known += std::string(known.empty() ? "" : ", ") + feature.name;
      }
      throw bad_layout(location, "there is no feature '" + name + "'",
                       "the features are: " + known);
    }
    bits |= found->bit;
  }
  return bits;
}

class ImageOptions {
 public:
  ImageOptions() { rbd_image_options_create(&options_); }
  ImageOptions(const ImageOptions&) = delete;
  ImageOptions& operator=(const ImageOptions&) = delete;
  ~ImageOptions() { rbd_image_options_destroy(options_); }
  void set(int option, uint64_t value) { rbd_image_options_set_uint64(options_, option, value); }
  void set(int option, const std::string& value) {
    rbd_image_options_set_string(options_, option, value.c_str());
  }
  rbd_image_options_t get() const { return options_; }

 private:
  rbd_image_options_t options_ = nullptr;
};

/// Returns the features that were asked for; 0: the default set.
uint64_t set_layout(const RbdLocation& location, const RbdLayout& layout, ImageOptions& options) {
  if (layout.object_size) {
    const uint64_t size = *layout.object_size;
    if (!std::has_single_bit(size) || size < 4096 || size > (32 << 20)) {
      throw bad_layout(location, "an object size of " + exact_bytes(size) + " is not possible",
                       "it is a power of two from 4K to 32M");
    }
    options.set(RBD_IMAGE_OPTION_ORDER, static_cast<uint64_t>(std::countr_zero(size)));
  }
  if (layout.stripe_unit.has_value() != layout.stripe_count.has_value()) {
    throw bad_layout(location, "striping needs both a unit and a count",
                     "give --stripe-unit and --stripe-count, or neither");
  }
  if (layout.stripe_unit) {
    options.set(RBD_IMAGE_OPTION_STRIPE_UNIT, *layout.stripe_unit);
  }
  if (layout.stripe_count) {
    options.set(RBD_IMAGE_OPTION_STRIPE_COUNT, *layout.stripe_count);
  }
  if (!layout.data_pool.empty()) {
    options.set(RBD_IMAGE_OPTION_DATA_POOL, layout.data_pool);
  }
  if (layout.features.empty()) {
    return 0;
  }
  const uint64_t features = feature_bits(location, layout.features);
  options.set(RBD_IMAGE_OPTION_FEATURES, features);
  return features;
}

bool no_room(int rc) { return rc == -ENOSPC || rc == -EDQUOT; }

int beat(uint64_t /*done*/, uint64_t /*total*/, void* pulse) {
  static_cast<Pulse*>(pulse)->beat();
  return 0;
}

/// rbd_remove, but true. A full pool refuses the note in the trash with which it begins, and then
/// it answers that there is no such volume (Ceph 16: librbd::api::Trash::move).
int try_remove(rados_ioctx_t io, const RbdLocation& location, const std::string& name,
               Pulse& pulse) {
  const int rc = rbd_remove_with_progress(io, name.c_str(), beat, &pulse);
  pulse.beat();
  if (rc != -ENOENT) {
    return rc;
  }
  return look_up_name(io, location, name).is_free() ? 0 : -ENOSPC;
}

void empty_image(rados_ioctx_t io, const std::string& name) {
  RbdImage image;
  if (image.open(io, name, "", false) == 0) {
    rbd_resize(image.get(), 0);
  }
}

void remove_snapshots(rados_ioctx_t io, const std::string& name, const RbdLocation& location,
                      Pulse& pulse) {
  RbdImage image;
  if (image.open(io, name, "", false) == 0) {
    const RbdLocation volume = location.beside(name);
    remove_rbd_snapshots(image.get(), volume,
                         is_unfinished(volume) ? RbdMarks::kAll : RbdMarks::kRecorded, pulse);
  }
}

}  // namespace

RbdLocation partial_of(const RbdLocation& volume) {
  return volume.beside(volume.image + kPartialSuffix);
}

bool is_unfinished(const RbdLocation& volume) { return volume.image.ends_with(kPartialSuffix); }

RbdLocation old_of(const RbdLocation& volume) {
  return volume.beside(volume.image + ".vmferry-old");
}

void create_rbd_image(rados_ioctx_t io, const std::string& name, uint64_t size,
                      const RbdLayout& layout, const RbdLocation& location) {
  ImageOptions options;
  const uint64_t features = set_layout(location, layout, options);
  const int rc = rbd_create4(io, name.c_str(), size, options.get());
  if (rc == -EINVAL) {
    throw invalid_volume_error(io, location, size, layout, features);
  }
  if (rc == -ENOENT && !layout.data_pool.empty()) {
    throw no_data_pool(location, layout);
  }
  if (rc == -EEXIST) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = location.display(),
                 .action = "create",
                 .cause = "the volume exists",
                 .hint = "choose another name"});
  }
  if (rc < 0) {
    throw rbd_error(rc, location, fmt::format("create a volume of {} bytes", size));
  }
}

void clone_rbd_image(rados_ioctx_t base_io, const RbdLocation& base, uint64_t size,
                     rados_ioctx_t io, const std::string& name, const RbdLayout& layout,
                     const RbdLocation& location) {
  ImageOptions options;
  const uint64_t features = set_layout(location, layout, options);
  if (features != 0 && (features & RBD_FEATURE_LAYERING) == 0) {
    throw bad_layout(location, "a volume that shares a base needs the feature layering",
                     "add layering");
  }
  // Otherwise the base's stripe unit, which is the size of its objects, goes with another size.
  if (layout.object_size && !layout.stripe_unit) {
    options.set(RBD_IMAGE_OPTION_STRIPE_UNIT, *layout.object_size);
    options.set(RBD_IMAGE_OPTION_STRIPE_COUNT, 1);
  }
  options.set(RBD_IMAGE_OPTION_CLONE_FORMAT, 2);
  const auto clone = [&] {
    return rbd_clone3(base_io, base.image.c_str(), base.snapshot.c_str(), io, name.c_str(),
                      options.get());
  };
  int rc = clone();
  // Seen once on Ceph 16, on a busy cluster and with all of it there: the base was opened just now.
  for (int again = 0; rc == -ENOENT && layout.data_pool.empty() && again < 3; ++again) {
    std::this_thread::sleep_for(500ms);
    rc = clone();
  }
  if (rc == -EINVAL) {
    throw invalid_volume_error(io, location, size, layout, features);
  }
  if (rc == -ENOENT && !layout.data_pool.empty()) {
    throw no_data_pool(location, layout);
  }
  if (rc < 0) {
    throw rbd_error(rc, base, "make a clone of it ('" + location.beside(name).ceph_name() + "')");
  }
}

bool exists_in_part(rados_ioctx_t io, const RbdLocation& location, const std::string& name) {
  return !look_up_name(io, location, name).is_free() ||
         !ids_being_removed(io, location, name).empty();
}

bool has_features(uint64_t found, const RbdLayout& layout, const RbdLocation& location) {
  if (layout.features.empty()) {
    return true;
  }
  uint64_t told = 0;  // librbd has others that nobody asks for
  for (const Feature& feature : kFeatures) {
    told |= feature.bit;
  }
  // What has an object map gets fast-diff with it, and nothing else does.
  told &= ~uint64_t{RBD_FEATURE_FAST_DIFF};
  return (feature_bits(location, layout.features) & told) == (found & told);
}

int remove_rbd_image(rados_ioctx_t io, const RbdLocation& location, const std::string& name,
                     const RbdRemoval& how) {
  const auto deadline = std::chrono::steady_clock::now() + how.patience;
  bool emptied = false;
  bool has_lost_snapshots = false;
  for (int removed = 0; exists_in_part(io, location, name);) {
    const int rc = try_remove(io, location, name, how.pulse);
    // One of that name that went before may be in the trash still.
    if (rc >= 0 && ++removed < kMostOfOneName) {
      continue;
    }
    if (rc == -ENOTEMPTY && how.with_snapshots && !has_lost_snapshots) {
      remove_snapshots(io, name, location, how.pulse);
      has_lost_snapshots = true;
      continue;
    }
    if (rc != -EBUSY && !no_room(rc)) {
      return rc;
    }
    // Emptying a volume needs no room; removing it goes once Ceph has noticed.
    if (no_room(rc) && !emptied) {
      empty_image(io, name);
      emptied = true;
    }
    for (auto next = std::chrono::steady_clock::now() + 1s;
         std::chrono::steady_clock::now() < next;) {
      if (how.stop.stop_requested() || std::chrono::steady_clock::now() > deadline) {
        return rc;
      }
      std::this_thread::sleep_for(100ms);
    }
  }
  return 0;
}

}  // namespace vmferry
