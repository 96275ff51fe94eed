// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <thread>
#include <vector>

#include "lib/core/format_bytes.h"
#include "lib/store/rbd_cluster.h"

namespace vmferry {
namespace {

using namespace std::chrono_literals;

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

uint64_t feature_bits(const RbdLocation& location, const std::vector<std::string>& names) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    const auto* found = std::find_if(std::begin(kFeatures), std::end(kFeatures),
                                     [&](const Feature& feature) { return name == feature.name; });
    if (found == std::end(kFeatures)) {
      std::string known;
      for (const Feature& feature : kFeatures)
        known += std::string(known.empty() ? "" : ", ") + feature.name;
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

void set_layout(const RbdLocation& location, const RbdLayout& layout, ImageOptions& options) {
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
  if (layout.stripe_unit) options.set(RBD_IMAGE_OPTION_STRIPE_UNIT, *layout.stripe_unit);
  if (layout.stripe_count) options.set(RBD_IMAGE_OPTION_STRIPE_COUNT, *layout.stripe_count);
  if (!layout.data_pool.empty()) options.set(RBD_IMAGE_OPTION_DATA_POOL, layout.data_pool);
  if (!layout.features.empty()) {
    options.set(RBD_IMAGE_OPTION_FEATURES, feature_bits(location, layout.features));
  }
}

bool no_room(int rc) { return rc == -ENOSPC || rc == -EDQUOT; }

/// rbd_remove, but true: a full pool refuses the note in the trash with which it begins, and then
/// it answers that there is no such volume (Ceph 16: librbd::api::Trash::move).
int try_remove(rados_ioctx_t io, const std::string& name) {
  const int rc = rbd_remove(io, name.c_str());
  if (rc != -ENOENT) return rc;
  RbdImage image;
  return image.open(io, name, "", true) == -ENOENT ? 0 : -ENOSPC;
}

void empty_image(rados_ioctx_t io, const std::string& name) {
  RbdImage image;
  if (image.open(io, name, "", false) == 0) rbd_resize(image.get(), 0);
}

}  // namespace

void create_rbd_image(rados_ioctx_t io, const std::string& name, uint64_t size,
                      const RbdLayout& layout, const RbdLocation& location) {
  ImageOptions options;
  set_layout(location, layout, options);
  const int rc = rbd_create4(io, name.c_str(), size, options.get());
  if (rc == -EINVAL) {
    throw bad_layout(location, "Ceph refuses this combination of size, layout and features",
                     "object-map needs exclusive-lock, fast-diff and journaling need more; the "
                     "stripe unit divides the object size");
  }
  if (rc == -ENOENT && !layout.data_pool.empty()) {
    throw bad_layout(location, "there is no data pool '" + layout.data_pool + "'",
                     "'ceph osd pool ls' shows those there are");
  }
  if (rc == -EEXIST) {
    throw Error({.kind = ErrorKind::kConflict,
                 .object = location.display(),
                 .action = "create",
                 .cause = "the volume exists",
                 .hint = "choose another name"});
  }
  if (rc < 0) throw rbd_error(rc, location, fmt::format("create a volume of {} bytes", size));
}

int remove_rbd_image(rados_ioctx_t io, const std::string& name, std::chrono::seconds patience,
                     std::stop_token stop) noexcept {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  bool emptied = false;
  for (;;) {
    const int rc = try_remove(io, name);
    if (rc >= 0) return 0;
    if (rc != -EBUSY && !no_room(rc)) return rc;
    // Emptying a volume needs no room; removing it goes once Ceph has noticed.
    if (no_room(rc) && !emptied) {
      empty_image(io, name);
      emptied = true;
    }
    for (auto next = std::chrono::steady_clock::now() + 1s;
         std::chrono::steady_clock::now() < next;) {
      if (stop.stop_requested() || std::chrono::steady_clock::now() > deadline) return rc;
      std::this_thread::sleep_for(100ms);
    }
  }
}

}  // namespace vmferry
