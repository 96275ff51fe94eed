// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/rbd/rados_operation.h"

namespace vmferry {
namespace {

/// Texts as librados takes them.
struct Pointers {
  void add(const std::string& text) {
    texts.push_back(text.data());
    lengths.push_back(text.size());
  }
  std::vector<const char*> texts;
  std::vector<size_t> lengths;
};

/// Frees `values`. Those of an operation that failed point nowhere: librados sets them up when an
/// answer comes (C_OmapIter in librados_c.cc).
int take_values(rados_omap_iter_t values, int failed, std::map<std::string, std::string>& into) {
  int rc = failed;
  while (rc >= 0) {
    char* key = nullptr;
    char* value = nullptr;
    size_t key_length = 0;
    size_t value_length = 0;
    rc = rados_omap_get_next2(values, &key, &value, &key_length, &value_length);
    if (rc < 0 || key == nullptr) {
      break;
    }
    into[std::string(key, key_length)] =
        value == nullptr ? std::string() : std::string(value, value_length);
  }
  rados_omap_get_end(values);
  return rc;
}

}  // namespace

void RadosWrite::expect(const std::map<std::string, std::string>& values) {
  for (const auto& [key, value] : values) {
    rados_write_op_omap_cmp2(op_, key.data(), LIBRADOS_CMPXATTR_OP_EQ, value.data(), key.size(),
                             value.size(), nullptr);
  }
}

void RadosWrite::put(const ObjectChange& change) {
  if (!change.data.empty()) {
    rados_write_op_write_full(op_, change.data.data(), change.data.size());
  }
  if (change.clear) {
    rados_write_op_omap_clear(op_);
  }
  if (!change.set.empty()) {
    Pointers keys;
    Pointers values;
    for (const auto& [key, value] : change.set) {
      keys.add(key);
      values.add(value);
    }
    rados_write_op_omap_set2(op_, keys.texts.data(), values.texts.data(), keys.lengths.data(),
                             values.lengths.data(), keys.texts.size());
  }
  if (!change.remove.empty()) {
    Pointers keys;
    for (const std::string& key : change.remove) {
      keys.add(key);
    }
    rados_write_op_omap_rm_keys2(op_, keys.texts.data(), keys.lengths.data(), keys.texts.size());
  }
}

int RadosRead::get(const std::vector<std::string>& keys, rados_ioctx_t io,
                   const std::string& object, std::map<std::string, std::string>& values) {
  Pointers wanted;
  for (const std::string& key : keys) {
    wanted.add(key);
  }
  rados_omap_iter_t found = nullptr;
  int result = 0;
  rados_read_op_omap_get_vals_by_keys2(op_, wanted.texts.data(), wanted.texts.size(),
                                       wanted.lengths.data(), &found, &result);
  const int rc = rados_read_op_operate(op_, io, object.c_str(), 0);
  return take_values(found, rc < 0 ? rc : result, values);
}

int RadosRead::list(const std::string& prefix, const std::string& after, size_t most,
                    rados_ioctx_t io, const std::string& object, KeyRange& range) {
  rados_omap_iter_t found = nullptr;
  unsigned char more = 0;
  int result = 0;
  rados_read_op_omap_get_vals2(op_, after.c_str(), prefix.c_str(), most, &found, &more, &result);
  const int rc = rados_read_op_operate(op_, io, object.c_str(), 0);
  range.more = more != 0;
  return take_values(found, rc < 0 ? rc : result, range.keys);
}

std::vector<std::string> pools_of(rados_t cluster) {
  std::vector<std::string> pools;
  const int needed = rados_pool_list(cluster, nullptr, 0);
  if (needed <= 0) {
    return pools;
  }
  // One after the other, each with a zero at its end; an empty one ends the list. There may be more
  // of them by now.
  std::string names(static_cast<size_t>(needed) + 4096, '\0');
  rados_pool_list(cluster, names.data(), names.size());
  for (size_t at = 0; at < names.size() && names[at] != '\0'; at += pools.back().size() + 1) {
    pools.emplace_back(names.c_str() + at);
  }
  return pools;
}

}  // namespace vmferry
