// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of librbd and librados that move, make, rename, lock and ask. They answer -errno.
#include <rados/librados.h>
#include <rbd/librbd.h>

#include <map>
#include <mutex>

#include "tests/faults/faults.h"

using vmferry::faults::counts_any;
using vmferry::faults::Moment;
using vmferry::faults::next_symbol;

namespace {

template <class Real>
auto answer(const char* call, const void* caller, Real real) -> decltype(real()) {
  using Answer = decltype(real());
  return vmferry::faults::around(call, counts_any(caller), real,
                                 [](int error) { return static_cast<Answer>(-error); });
}

/// Completions that shall tell of a failure.
class LateErrors {
 public:
  void add(rbd_completion_t completion, int error) {
    std::lock_guard lock(mutex_);
    errors_[completion] = error;
  }
  int of(rbd_completion_t completion) {
    std::lock_guard lock(mutex_);
    const auto found = errors_.find(completion);
    return found == errors_.end() ? 0 : found->second;
  }
  void forget(rbd_completion_t completion) {
    std::lock_guard lock(mutex_);
    errors_.erase(completion);
  }

 private:
  std::mutex mutex_;
  std::map<rbd_completion_t, int> errors_;
};

LateErrors& late_errors() {
  static auto* const errors = new LateErrors;
  return *errors;
}

}  // namespace

#define REAL(name) static const auto real = reinterpret_cast<decltype(&::name)>(next_symbol(#name))

#define STAND_BEFORE(result, name, parameters, arguments)                                          \
  extern "C" result name parameters {                                                              \
    REAL(name);                                                                                    \
    return answer(#name, __builtin_return_address(0), [&]() -> result { return real arguments; }); \
  }

// ---- the cluster and its pools
STAND_BEFORE(int, rados_connect, (rados_t cluster), (cluster))
STAND_BEFORE(int, rados_conf_read_file, (rados_t cluster, const char* path), (cluster, path))
STAND_BEFORE(int, rados_ioctx_create,
             (rados_t cluster, const char* pool_name, rados_ioctx_t* ioctx),
             (cluster, pool_name, ioctx))
STAND_BEFORE(int, rados_ioctx_create2, (rados_t cluster, int64_t pool_id, rados_ioctx_t* ioctx),
             (cluster, pool_id, ioctx))
STAND_BEFORE(int, rados_mon_command,
             (rados_t cluster, const char** cmd, size_t cmdlen, const char* inbuf, size_t inbuflen,
              char** outbuf, size_t* outbuflen, char** outs, size_t* outslen),
             (cluster, cmd, cmdlen, inbuf, inbuflen, outbuf, outbuflen, outs, outslen))
STAND_BEFORE(int, rados_cluster_fsid, (rados_t cluster, char* buf, size_t len), (cluster, buf, len))
STAND_BEFORE(int64_t, rados_pool_lookup, (rados_t cluster, const char* pool_name),
             (cluster, pool_name))
STAND_BEFORE(int, rados_pool_reverse_lookup,
             (rados_t cluster, int64_t id, char* buf, size_t maxlen), (cluster, id, buf, maxlen))
STAND_BEFORE(int, rados_ioctx_pool_stat, (rados_ioctx_t io, struct rados_pool_stat_t* stats),
             (io, stats))
STAND_BEFORE(int, rados_ioctx_pool_requires_alignment2, (rados_ioctx_t io, int* req), (io, req))
STAND_BEFORE(int, rados_ioctx_snap_list, (rados_ioctx_t io, rados_snap_t* snaps, int maxlen),
             (io, snaps, maxlen))
STAND_BEFORE(int, rados_application_list, (rados_ioctx_t io, char* values, size_t* values_len),
             (io, values, values_len))
STAND_BEFORE(int, rados_getaddrs, (rados_t cluster, char** addrs), (cluster, addrs))
STAND_BEFORE(int, rados_blocklist_add,
             (rados_t cluster, char* client_address, uint32_t expire_seconds),
             (cluster, client_address, expire_seconds))
STAND_BEFORE(int, rados_wait_for_latest_osdmap, (rados_t cluster), (cluster))

// ---- objects
STAND_BEFORE(int, rados_read,
             (rados_ioctx_t io, const char* oid, char* buf, size_t len, uint64_t off),
             (io, oid, buf, len, off))
STAND_BEFORE(int, rados_write,
             (rados_ioctx_t io, const char* oid, const char* buf, size_t len, uint64_t off),
             (io, oid, buf, len, off))
STAND_BEFORE(int, rados_write_full,
             (rados_ioctx_t io, const char* oid, const char* buf, size_t len), (io, oid, buf, len))
STAND_BEFORE(int, rados_stat, (rados_ioctx_t io, const char* o, uint64_t* psize, time_t* pmtime),
             (io, o, psize, pmtime))
STAND_BEFORE(int, rados_remove, (rados_ioctx_t io, const char* oid), (io, oid))
STAND_BEFORE(int, rados_getxattr,
             (rados_ioctx_t io, const char* o, const char* name, char* buf, size_t len),
             (io, o, name, buf, len))
STAND_BEFORE(int, rados_setxattr,
             (rados_ioctx_t io, const char* o, const char* name, const char* buf, size_t len),
             (io, o, name, buf, len))
STAND_BEFORE(int, rados_exec,
             (rados_ioctx_t io, const char* oid, const char* cls, const char* method,
              const char* in_buf, size_t in_len, char* buf, size_t out_len),
             (io, oid, cls, method, in_buf, in_len, buf, out_len))
STAND_BEFORE(int, rados_write_op_operate,
             (rados_write_op_t write_op, rados_ioctx_t io, const char* oid, time_t* mtime,
              int flags),
             (write_op, io, oid, mtime, flags))
STAND_BEFORE(int, rados_write_op_operate2,
             (rados_write_op_t write_op, rados_ioctx_t io, const char* oid, struct timespec* mtime,
              int flags),
             (write_op, io, oid, mtime, flags))
STAND_BEFORE(int, rados_read_op_operate,
             (rados_read_op_t read_op, rados_ioctx_t io, const char* oid, int flags),
             (read_op, io, oid, flags))
STAND_BEFORE(int, rados_aio_read,
             (rados_ioctx_t io, const char* oid, rados_completion_t completion, char* buf,
              size_t len, uint64_t off),
             (io, oid, completion, buf, len, off))
STAND_BEFORE(int, rados_aio_stat,
             (rados_ioctx_t io, const char* o, rados_completion_t completion, uint64_t* psize,
              time_t* pmtime),
             (io, o, completion, psize, pmtime))
STAND_BEFORE(int, rados_aio_read_op_operate,
             (rados_read_op_t read_op, rados_ioctx_t io, rados_completion_t completion,
              const char* oid, int flags),
             (read_op, io, completion, oid, flags))
STAND_BEFORE(int, rados_lock_exclusive,
             (rados_ioctx_t io, const char* oid, const char* name, const char* cookie,
              const char* desc, struct timeval* duration, uint8_t flags),
             (io, oid, name, cookie, desc, duration, flags))
STAND_BEFORE(int, rados_unlock,
             (rados_ioctx_t io, const char* o, const char* name, const char* cookie),
             (io, o, name, cookie))
STAND_BEFORE(int, rados_break_lock,
             (rados_ioctx_t io, const char* o, const char* name, const char* client,
              const char* cookie),
             (io, o, name, client, cookie))
STAND_BEFORE(ssize_t, rados_list_lockers,
             (rados_ioctx_t io, const char* o, const char* name, int* exclusive, char* tag,
              size_t* tag_len, char* clients, size_t* clients_len, char* cookies,
              size_t* cookies_len, char* addrs, size_t* addrs_len),
             (io, o, name, exclusive, tag, tag_len, clients, clients_len, cookies, cookies_len,
              addrs, addrs_len))

// ---- volumes come and go
STAND_BEFORE(int, rbd_create4,
             (rados_ioctx_t io, const char* name, uint64_t size, rbd_image_options_t opts),
             (io, name, size, opts))
STAND_BEFORE(int, rbd_clone3,
             (rados_ioctx_t p_ioctx, const char* p_name, const char* p_snapname,
              rados_ioctx_t c_ioctx, const char* c_name, rbd_image_options_t c_opts),
             (p_ioctx, p_name, p_snapname, c_ioctx, c_name, c_opts))
STAND_BEFORE(int, rbd_rename, (rados_ioctx_t src_io_ctx, const char* srcname, const char* destname),
             (src_io_ctx, srcname, destname))
STAND_BEFORE(int, rbd_remove, (rados_ioctx_t io, const char* name), (io, name))
STAND_BEFORE(int, rbd_remove_with_progress,
             (rados_ioctx_t io, const char* name, librbd_progress_fn_t cb, void* cbdata),
             (io, name, cb, cbdata))
STAND_BEFORE(int, rbd_trash_move, (rados_ioctx_t io, const char* name, uint64_t delay),
             (io, name, delay))
STAND_BEFORE(int, rbd_trash_get, (rados_ioctx_t io, const char* id, rbd_trash_image_info_t* info),
             (io, id, info))
STAND_BEFORE(int, rbd_trash_list,
             (rados_ioctx_t io, rbd_trash_image_info_t* trash_entries, size_t* num_entries),
             (io, trash_entries, num_entries))
STAND_BEFORE(int, rbd_trash_remove, (rados_ioctx_t io, const char* id, bool force), (io, id, force))
STAND_BEFORE(int, rbd_trash_restore, (rados_ioctx_t io, const char* id, const char* name),
             (io, id, name))
STAND_BEFORE(int, rbd_list2, (rados_ioctx_t io, rbd_image_spec_t* images, size_t* max_images),
             (io, images, max_images))
STAND_BEFORE(int, rbd_namespace_exists,
             (rados_ioctx_t io, const char* namespace_name, bool* exists),
             (io, namespace_name, exists))
STAND_BEFORE(int, rbd_open,
             (rados_ioctx_t io, const char* name, rbd_image_t* image, const char* snap_name),
             (io, name, image, snap_name))
STAND_BEFORE(int, rbd_open_by_id,
             (rados_ioctx_t io, const char* id, rbd_image_t* image, const char* snap_name),
             (io, id, image, snap_name))
STAND_BEFORE(int, rbd_open_read_only,
             (rados_ioctx_t io, const char* name, rbd_image_t* image, const char* snap_name),
             (io, name, image, snap_name))
STAND_BEFORE(int, rbd_open_by_id_read_only,
             (rados_ioctx_t io, const char* id, rbd_image_t* image, const char* snap_name),
             (io, id, image, snap_name))
STAND_BEFORE(int, rbd_snap_set_by_id, (rbd_image_t image, uint64_t snap_id), (image, snap_id))
STAND_BEFORE(int, rbd_close, (rbd_image_t image), (image))
STAND_BEFORE(int, rbd_resize, (rbd_image_t image, uint64_t size), (image, size))
STAND_BEFORE(int, rbd_resize_with_progress,
             (rbd_image_t image, uint64_t size, librbd_progress_fn_t beat, void* argument),
             (image, size, beat, argument))
STAND_BEFORE(int, rbd_snap_create, (rbd_image_t image, const char* snapname), (image, snapname))
STAND_BEFORE(int, rbd_snap_remove, (rbd_image_t image, const char* snapname), (image, snapname))
STAND_BEFORE(int, rbd_snap_rename,
             (rbd_image_t image, const char* snapname, const char* dstsnapsname),
             (image, snapname, dstsnapsname))

// ---- data
STAND_BEFORE(int, rbd_flush, (rbd_image_t image), (image))
STAND_BEFORE(ssize_t, rbd_read, (rbd_image_t image, uint64_t ofs, size_t len, char* buf),
             (image, ofs, len, buf))
STAND_BEFORE(ssize_t, rbd_write, (rbd_image_t image, uint64_t ofs, size_t len, const char* buf),
             (image, ofs, len, buf))
STAND_BEFORE(int, rbd_discard, (rbd_image_t image, uint64_t ofs, uint64_t len), (image, ofs, len))
STAND_BEFORE(ssize_t, rbd_write_zeroes,
             (rbd_image_t image, uint64_t ofs, size_t len, int zero_flags, int op_flags),
             (image, ofs, len, zero_flags, op_flags))
STAND_BEFORE(int, rbd_diff_iterate2,
             (rbd_image_t image, const char* fromsnapname, uint64_t ofs, uint64_t len,
              uint8_t include_parent, uint8_t whole_object, int (*cb)(uint64_t, size_t, int, void*),
              void* arg),
             (image, fromsnapname, ofs, len, include_parent, whole_object, cb, arg))
STAND_BEFORE(int, rbd_sparsify_with_progress,
             (rbd_image_t image, size_t sparse_size, librbd_progress_fn_t cb, void* cbdata),
             (image, sparse_size, cb, cbdata))
STAND_BEFORE(int, rbd_aio_read,
             (rbd_image_t image, uint64_t off, size_t len, char* buf, rbd_completion_t c),
             (image, off, len, buf, c))
STAND_BEFORE(int, rbd_aio_flush, (rbd_image_t image, rbd_completion_t c), (image, c))
STAND_BEFORE(int, rbd_aio_discard,
             (rbd_image_t image, uint64_t off, uint64_t len, rbd_completion_t c),
             (image, off, len, c))
STAND_BEFORE(int, rbd_aio_write_zeroes,
             (rbd_image_t image, uint64_t off, size_t len, rbd_completion_t c, int zero_flags,
              int op_flags),
             (image, off, len, c, zero_flags, op_flags))

// ---- locks
STAND_BEFORE(int, rbd_lock_acquire, (rbd_image_t image, rbd_lock_mode_t lock_mode),
             (image, lock_mode))
STAND_BEFORE(int, rbd_lock_release, (rbd_image_t image), (image))
STAND_BEFORE(int, rbd_lock_get_owners,
             (rbd_image_t image, rbd_lock_mode_t* lock_mode, char** lock_owners,
              size_t* max_lock_owners),
             (image, lock_mode, lock_owners, max_lock_owners))
STAND_BEFORE(int, rbd_lock_break,
             (rbd_image_t image, rbd_lock_mode_t lock_mode, const char* lock_owner),
             (image, lock_mode, lock_owner))
STAND_BEFORE(ssize_t, rbd_list_lockers,
             (rbd_image_t image, int* exclusive, char* tag, size_t* tag_len, char* clients,
              size_t* clients_len, char* cookies, size_t* cookies_len, char* addrs,
              size_t* addrs_len),
             (image, exclusive, tag, tag_len, clients, clients_len, cookies, cookies_len, addrs,
              addrs_len))
STAND_BEFORE(int, rbd_break_lock, (rbd_image_t image, const char* client, const char* cookie),
             (image, client, cookie))

// ---- questions
STAND_BEFORE(int, rbd_stat, (rbd_image_t image, rbd_image_info_t* info, size_t infosize),
             (image, info, infosize))
STAND_BEFORE(int, rbd_get_size, (rbd_image_t image, uint64_t* size), (image, size))
STAND_BEFORE(int, rbd_metadata_get,
             (rbd_image_t image, const char* key, char* value, size_t* val_len),
             (image, key, value, val_len))
STAND_BEFORE(int, rbd_metadata_set, (rbd_image_t image, const char* key, const char* value),
             (image, key, value))
STAND_BEFORE(int, rbd_metadata_remove, (rbd_image_t image, const char* key), (image, key))
STAND_BEFORE(int, rbd_metadata_list,
             (rbd_image_t image, const char* start, uint64_t max, char* keys, size_t* key_len,
              char* values, size_t* vals_len),
             (image, start, max, keys, key_len, values, vals_len))
STAND_BEFORE(int, rbd_get_old_format, (rbd_image_t image, uint8_t* old), (image, old))
STAND_BEFORE(int, rbd_get_features, (rbd_image_t image, uint64_t* features), (image, features))
STAND_BEFORE(int, rbd_get_op_features, (rbd_image_t image, uint64_t* op_features),
             (image, op_features))
STAND_BEFORE(int, rbd_get_flags, (rbd_image_t image, uint64_t* flags), (image, flags))
STAND_BEFORE(int, rbd_get_id, (rbd_image_t image, char* id, size_t id_len), (image, id, id_len))
STAND_BEFORE(int, rbd_get_name, (rbd_image_t image, char* name, size_t* name_len),
             (image, name, name_len))
STAND_BEFORE(int, rbd_get_overlap, (rbd_image_t image, uint64_t* overlap), (image, overlap))
STAND_BEFORE(int, rbd_get_parent,
             (rbd_image_t image, rbd_linked_image_spec_t* parent_image,
              rbd_snap_spec_t* parent_snap),
             (image, parent_image, parent_snap))
STAND_BEFORE(int64_t, rbd_get_data_pool_id, (rbd_image_t image), (image))
STAND_BEFORE(int, rbd_get_stripe_unit, (rbd_image_t image, uint64_t* stripe_unit),
             (image, stripe_unit))
STAND_BEFORE(int, rbd_get_stripe_count, (rbd_image_t image, uint64_t* stripe_count),
             (image, stripe_count))
STAND_BEFORE(int, rbd_get_create_timestamp, (rbd_image_t image, struct timespec* timestamp),
             (image, timestamp))
STAND_BEFORE(int, rbd_get_access_timestamp, (rbd_image_t image, struct timespec* timestamp),
             (image, timestamp))
STAND_BEFORE(int, rbd_get_modify_timestamp, (rbd_image_t image, struct timespec* timestamp),
             (image, timestamp))
STAND_BEFORE(int, rbd_get_group,
             (rbd_image_t image, rbd_group_info_t* group_info, size_t group_info_size),
             (image, group_info, group_info_size))
STAND_BEFORE(int, rbd_migration_status,
             (rados_ioctx_t ioctx, const char* image_name, rbd_image_migration_status_t* status,
              size_t status_size),
             (ioctx, image_name, status, status_size))
STAND_BEFORE(int, rbd_watchers_list,
             (rbd_image_t image, rbd_image_watcher_t* watchers, size_t* max_watchers),
             (image, watchers, max_watchers))
STAND_BEFORE(int, rbd_snap_list, (rbd_image_t image, rbd_snap_info_t* snaps, int* max_snaps),
             (image, snaps, max_snaps))
STAND_BEFORE(int, rbd_snap_get_id, (rbd_image_t image, const char* snapname, uint64_t* snap_id),
             (image, snapname, snap_id))
STAND_BEFORE(int, rbd_snap_exists, (rbd_image_t image, const char* snapname, bool* exists),
             (image, snapname, exists))
STAND_BEFORE(int, rbd_snap_is_protected,
             (rbd_image_t image, const char* snap_name, int* is_protected),
             (image, snap_name, is_protected))
STAND_BEFORE(int, rbd_snap_get_timestamp,
             (rbd_image_t image, uint64_t snap_id, struct timespec* timestamp),
             (image, snap_id, timestamp))
STAND_BEFORE(int, rbd_snap_get_namespace_type,
             (rbd_image_t image, uint64_t snap_id, rbd_snap_namespace_type_t* namespace_type),
             (image, snap_id, namespace_type))
STAND_BEFORE(int, rbd_snap_set, (rbd_image_t image, const char* snapname), (image, snapname))
STAND_BEFORE(int, rbd_list_children3,
             (rbd_image_t image, rbd_linked_image_spec_t* images, size_t* max_images),
             (image, images, max_images))
STAND_BEFORE(int, rbd_list_descendants,
             (rbd_image_t image, rbd_linked_image_spec_t* images, size_t* max_images),
             (image, images, max_images))
STAND_BEFORE(int, rbd_mirror_image_get_info,
             (rbd_image_t image, rbd_mirror_image_info_t* mirror_image_info, size_t info_size),
             (image, mirror_image_info, info_size))
STAND_BEFORE(int, rbd_mirror_image_get_mode, (rbd_image_t image, rbd_mirror_image_mode_t* mode),
             (image, mode))
STAND_BEFORE(int, rbd_update_watch,
             (rbd_image_t image, uint64_t* handle, rbd_update_callback_t watch_cb, void* arg),
             (image, handle, watch_cb, arg))

// ---- writes that end later

/// A write of which nothing arrives still ends through its completion, as a flush.
static int write_later(const char* call, bool counts, rbd_image_t image,
                       rbd_completion_t completion, auto real) {
  if (!counts) {
    return real();
  }
  const Moment moment(call, true);
  if (moment.error() != 0) {
    return -moment.error();
  }
  if (moment.late_error() == 0 && !moment.lost()) {
    return real();
  }
  if (moment.late_error() != 0) {
    late_errors().add(completion, moment.late_error());
  }
  static const auto flush =
      reinterpret_cast<decltype(&::rbd_aio_flush)>(next_symbol("rbd_aio_flush"));
  return flush(image, completion);
}

extern "C" int rbd_aio_write(rbd_image_t image, uint64_t off, size_t len, const char* buf,
                             rbd_completion_t c) {
  REAL(rbd_aio_write);
  return write_later("rbd_aio_write", counts_any(__builtin_return_address(0)), image, c,
                     [&] { return real(image, off, len, buf, c); });
}

extern "C" int rbd_aio_write2(rbd_image_t image, uint64_t off, size_t len, const char* buf,
                              rbd_completion_t c, int op_flags) {
  REAL(rbd_aio_write2);
  return write_later("rbd_aio_write2", counts_any(__builtin_return_address(0)), image, c,
                     [&] { return real(image, off, len, buf, c, op_flags); });
}

extern "C" ssize_t rbd_aio_get_return_value(rbd_completion_t c) {
  REAL(rbd_aio_get_return_value);
  const int error = late_errors().of(c);
  return error != 0 ? -error : real(c);
}

extern "C" void rbd_aio_release(rbd_completion_t c) {
  REAL(rbd_aio_release);
  late_errors().forget(c);
  real(c);
}
