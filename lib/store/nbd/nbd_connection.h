// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <libnbd.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/core/unique_fd.h"
#include "lib/store/nbd/nbd_location.h"
#include "vmferry/error.h"
#include "vmferry/extent.h"

namespace vmferry {

/// How long a connection may be silent, and what ends all waiting (Error kCancelled).
struct NbdPatience {
  std::chrono::milliseconds connecting;  ///< until it is made
  std::chrono::milliseconds silence;     ///< while something is asked
  std::stop_token stop;
};

/// What libnbd said last in this thread, without the name of its function. The server may have had
/// a part in it.
std::string libnbd_said();

/// One connection to an export. Any thread; what several ask is under way at once: one of those who
/// wait moves all of it. Broken once, it stays so. Errors name `name`, and the byte.
///
/// Offsets and lengths are multiples of the server's smallest block, and no piece is longer than
/// the largest that it takes: see NbdExport, which cuts.
class NbdConnection {
 public:
  using Clock = std::chrono::steady_clock;

  /// Connects. `pulse` beats when the server moves. Throws Error.
  NbdConnection(const NbdAddress& address, std::string name, const NbdPatience& patience,
                Pulse& pulse);
  NbdConnection(const NbdConnection&) = delete;
  NbdConnection& operator=(const NbdConnection&) = delete;
  /// Says goodbye and does not wait for an answer.
  ~NbdConnection();

  /// For what it knows by itself: sizes, what the export can do.
  nbd_handle* handle() const { return handle_; }
  /// The other end: "127.0.0.1 10809", or device and inode of the socket.
  std::string peer(const NbdAddress& address) const;

  // In pieces of `most` bytes, several at a time.
  void read(uint64_t offset, std::span<std::byte> out, size_t most);
  void write(uint64_t offset, std::span<const std::byte> data, size_t most);
  void zero(uint64_t offset, uint64_t length, uint64_t most);
  /// False: the server would take as long as to write zeros, so it did not (for some of it).
  bool zero_fast(uint64_t offset, uint64_t length, uint64_t most);
  /// All that was answered before, over whatever connection where the server has multi-conn, is
  /// stored.
  void flush();
  /// What the server says of [offset, offset + length), of which that may be a part: from `offset`
  /// on, without gaps. Not empty; the last may go beyond. REQUIRES: length < 4 GiB.
  std::vector<Extent> block_status(uint64_t offset, uint64_t length);

 private:
  struct Request;
  struct Piece;

  /// Hands a command to libnbd, which tells by the callback when it has ended.
  using Submit = std::function<int64_t(nbd_completion_callback)>;
  using SubmitPiece =
      std::function<int64_t(uint64_t offset, uint64_t length, nbd_completion_callback)>;

  void set_up(const NbdAddress& address);
  void connect(const NbdAddress& address);
  void submit(Request& request, std::optional<uint64_t> offset, const Submit& command);
  void wait(std::unique_lock<std::mutex>& lock, Request& request, size_t most);
  void finish(std::unique_lock<std::mutex>& lock, Request& request);
  /// Returns 0, or the errno `accepted` that some piece was answered with.
  int in_pieces(const char* action, int accepted, const Extent& range, uint64_t most,
                const SubmitPiece& command);
  void move(std::unique_lock<std::mutex>& lock, Clock::time_point deadline);
  void notify(short events);
  void wake_driver();
  void break_off(std::string reason, int code = 0);
  Error failure(const std::string& action, std::optional<uint64_t> offset, int code) const;

  const std::string name_;
  const NbdPatience patience_;
  Pulse& pulse_;
  nbd_handle* handle_ = nullptr;  ///< null: is_broken_
  UniqueFd wake_;                 ///< an eventfd: the driver has to look again
  const std::stop_callback<std::function<void()>> on_stop_;

  // Held for every call of libnbd that may move the connection; not while waiting for the server.
  std::mutex mutex_;
  bool is_driven_ = false;         ///< somebody waits for the server
  unsigned polled_ = 0;            ///< for these directions; 0: not now
  std::vector<Request*> waiting_;  ///< while somebody else does
  size_t under_way_ = 0;           ///< pieces
  Clock::time_point last_moved_ = {};
  bool is_broken_ = false;
  bool was_silent_ = false;  ///< that is why
  std::string reason_;       ///< why
  int broken_by_ = 0;        ///< the errno that libnbd has for it; 0: none
};

}  // namespace vmferry
