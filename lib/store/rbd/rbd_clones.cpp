// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rbd_clones.h"

#include <cerrno>

#include "lib/store/rbd/rbd_cluster.h"

namespace vmferry {

std::vector<RbdClone> rbd_clones(rbd_image_t image, const RbdLocation& location) {
  std::vector<rbd_linked_image_spec_t> list;
  size_t count = 16;
  int rc = -ERANGE;
  while (rc == -ERANGE) {
    list.resize(count);
    rc = rbd_list_descendants(image, list.data(), &count);
  }
  if (rc < 0) {
    throw rbd_error(rc, location, "ask for its clones");
  }
  std::vector<RbdClone> found;
  for (size_t i = 0; i < count; ++i) {
    const RbdLocation clone = {.pool = list[i].pool_name,
                               .name_space = list[i].pool_namespace,
                               .image = list[i].image_name};
    const std::string name = clone.ceph_name();
    const std::string thrown_away = clone.beside(list[i].image_id).ceph_name();
    found.push_back({.name = name,
                     .trash = list[i].trash,
                     .remedy = list[i].trash
                                   ? "'rbd trash rm " + thrown_away + "' removes it for good"
                                   : "'rbd flatten " + name + "' makes it independent"});
  }
  rbd_linked_image_spec_list_cleanup(list.data(), count);
  return found;
}

std::vector<RbdClone> rbd_volume_clones(const RbdLocation& volume, const CephOptions& options) {
  const RbdPool pool(volume, options, CephSharing::kShared);
  RbdImage image;
  const int rc = image.open(pool.io(), volume.image, "", true);
  if (rc == -ENOENT) {
    return {};
  }
  if (rc < 0) {
    throw rbd_error(rc, volume, "open");
  }
  return rbd_clones(image.get(), volume);
}

}  // namespace vmferry
