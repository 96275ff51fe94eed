// SPDX-License-Identifier: LGPL-2.1-or-later
#include "lib/store/nbd/nbd_connection.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <utility>

namespace vmferry {
namespace {

// More than one asks for at once is of no use.
constexpr size_t kMostPieces = 16;
// What one answer may tell of; the rest is asked for again.
constexpr size_t kMostAnswered = 1 << 16;

struct Answer {
  uint64_t offset;
  uint64_t length;  ///< that was asked about
  std::vector<Extent> extents;
};

/// libnbd's callback for the answer to a question about blocks. May be called again by a server
/// that is wrong, or about what was not asked for.
int on_extents(void* data, const char* context, uint64_t offset, uint32_t* entries, size_t count,
               int* /*error*/) noexcept {
  auto* answer = static_cast<Answer*>(data);
  if (std::strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0 || offset != answer->offset ||
      !answer->extents.empty()) {
    return 0;
  }
  const uint64_t end = answer->offset + answer->length;
  uint64_t at = offset;
  for (size_t i = 0; i + 1 < count && at < end && answer->extents.size() < kMostAnswered; i += 2) {
    const uint64_t length = entries[i];
    if (length == 0) {
      break;
    }
    // HOLE says only how it is stored. ZERO is a promise.
    const bool is_zero = (entries[i + 1] & LIBNBD_STATE_ZERO) != 0;
    answer->extents.push_back({at, length, is_zero ? ExtentKind::kZero : ExtentKind::kData});
    at += length;
  }
  return 0;
}

}  // namespace

/// One command of libnbd.
struct NbdConnection::Piece {
  Request* request;
  std::optional<uint64_t> offset;
  uint64_t wanted = 0;  ///< bytes that the answer has to bring
  uint64_t received = 0;

  /// Called with the mutex held, by whoever moves the connection: for each part of an answer, ...
  static int on_chunk(void* data, const void* /*bytes*/, size_t count, uint64_t /*offset*/,
                      unsigned status, int* /*error*/) noexcept {
    if (status != LIBNBD_READ_ERROR) {
      static_cast<Piece*>(data)->received += count;
    }
    return 0;
  }
  /// ... and at its end. Since libnbd 1.18 nbd_close() calls it, too.
  static int on_complete(void* data, int* error) noexcept {
    static_cast<const Piece*>(data)->end(*error);
    return 1;  // libnbd may forget it
  }
  void end(int code) const;
};

/// The mutex is held wherever one of these is made, changed and destroyed.
struct NbdConnection::Request {
  Request(NbdConnection& of, std::string what, std::optional<uint64_t> offset)
      : connection(of), action(std::move(what)), failed_at(offset) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  /// Who leaves early takes the memory along that libnbd would use.
  ~Request() {
    if (under_way > 0) {
      connection.break_off({});
    }
  }

  NbdConnection& connection;
  const std::string action;
  std::deque<Piece> pieces;
  size_t under_way = 0;  ///< pieces
  int code = 0;          ///< errno of the first that failed
  int accepted = 0;      ///< this one is an answer
  std::optional<uint64_t> failed_at;
  std::condition_variable moved;
};

/// libnbd takes an answer to a read for good that leaves out some of it, or all: it would look at
/// that in nbd_aio_command_completed().
void NbdConnection::Piece::end(int code) const {
  if (code == 0 && received != wanted) {
    code = EPROTO;
  }
  --request->under_way;
  --request->connection.under_way_;
  if (code != 0 && request->code == 0) {
    request->code = code;
    request->failed_at = offset;
  }
  request->moved.notify_one();
}

NbdConnection::NbdConnection(const NbdAddress& address, std::string name,
                             const NbdPatience& patience, Pulse& pulse)
    : name_(std::move(name)),
      patience_(patience),
      pulse_(pulse),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      on_stop_(patience_.stop, [this] { wake_driver(); }) {
  if (!wake_.valid()) {
    throw errno_error(errno, name_, "connect");
  }
  handle_ = nbd_create();
  try {
    set_up(address);
    connect(address);
  } catch (...) {
    nbd_close(handle_);
    throw;
  }
}

NbdConnection::~NbdConnection() {
  if (!is_broken_ && under_way_ == 0) {
    nbd_aio_disconnect(handle_, 0);
  }
  nbd_close(handle_);
}

void NbdConnection::read(uint64_t offset, std::span<std::byte> out, size_t most) {
  in_pieces("read", 0, {offset, out.size()}, most,
            [&](uint64_t at, uint64_t length, nbd_completion_callback done) {
              static_cast<Piece*>(done.user_data)->wanted = length;
              const nbd_chunk_callback chunk = {
                  .callback = Piece::on_chunk, .user_data = done.user_data, .free = nullptr};
              return nbd_aio_pread_structured(handle_, out.data() + (at - offset), length, at,
                                              chunk, done, 0);
            });
}

void NbdConnection::write(uint64_t offset, std::span<const std::byte> data, size_t most) {
  in_pieces("write", 0, {offset, data.size()}, most,
            [&](uint64_t at, uint64_t length, nbd_completion_callback done) {
              return nbd_aio_pwrite(handle_, data.data() + (at - offset), length, at, done, 0);
            });
}

void NbdConnection::zero(uint64_t offset, uint64_t length, uint64_t most) {
  in_pieces("write zeros", 0, {offset, length}, most,
            [this](uint64_t at, uint64_t count, nbd_completion_callback done) {
              return nbd_aio_zero(handle_, count, at, done, 0);
            });
}

bool NbdConnection::zero_fast(uint64_t offset, uint64_t length, uint64_t most) {
  const int code =
      in_pieces("write zeros", ENOTSUP, {offset, length}, most,
                [this](uint64_t at, uint64_t count, nbd_completion_callback done) {
                  return nbd_aio_zero(handle_, count, at, done, LIBNBD_CMD_FLAG_FAST_ZERO);
                });
  return code == 0;
}

void NbdConnection::flush() {
  std::unique_lock lock(mutex_);
  Request request(*this, "flush", std::nullopt);
  submit(request, std::nullopt,
         [&](nbd_completion_callback done) { return nbd_aio_flush(handle_, done, 0); });
  finish(lock, request);
}

int NbdConnection::in_pieces(const char* action, int accepted, const Extent& range, uint64_t most,
                             const SubmitPiece& command) {
  std::unique_lock lock(mutex_);
  Request request(*this, action, range.offset);
  request.accepted = accepted;
  for (uint64_t at = range.offset; at < range.end() && request.code == 0; at += most) {
    const uint64_t length = std::min(most, range.end() - at);
    submit(request, at, [&](nbd_completion_callback done) { return command(at, length, done); });
    wait(lock, request, kMostPieces - 1);
  }
  finish(lock, request);
  return request.code;
}

std::vector<Extent> NbdConnection::block_status(uint64_t offset, uint64_t length) {
  std::unique_lock lock(mutex_);
  Answer answer = {offset, length, {}};
  Request request(*this, "ask for extents", offset);
  submit(request, offset, [&](nbd_completion_callback done) {
    const nbd_extent_callback extents = {
        .callback = on_extents, .user_data = &answer, .free = nullptr};
    return nbd_aio_block_status(handle_, length, offset, extents, done, 0);
  });
  finish(lock, request);
  if (answer.extents.empty()) {
    throw failure(request.action, offset, EPROTO);
  }
  return std::move(answer.extents);
}

void NbdConnection::submit(Request& request, std::optional<uint64_t> offset,
                           const Submit& command) {
  if (is_broken_) {
    request.code = ENOTCONN;
    request.failed_at = offset;
    return;
  }
  Piece& piece = request.pieces.emplace_back(Piece{&request, offset});
  if (under_way_ == 0) {
    last_moved_ = Clock::now();
    pulse_.beat();
  }
  ++request.under_way;
  ++under_way_;
  if (command({.callback = Piece::on_complete, .user_data = &piece, .free = nullptr}) < 0) {
    const int code = nbd_get_errno();
    piece.end(code == 0 ? EIO : code);
    return;
  }
  // It is taken where sending it finds the connection dead, too. Its end has been told then.
  if (nbd_aio_is_dead(handle_) > 0) {
    return break_off(libnbd_said(), nbd_get_errno());
  }
  const unsigned wanted = nbd_aio_get_direction(handle_);
  if (polled_ != 0 && (wanted & ~polled_) != 0) {
    wake_driver();
  }
}

/// Until at most `most` pieces of the request are under way, or the connection is broken.
void NbdConnection::wait(std::unique_lock<std::mutex>& lock, Request& request, size_t most) {
  while (request.under_way > most && !is_broken_) {
    if (is_driven_) {
      waiting_.push_back(&request);
      request.moved.wait(lock);
      std::erase(waiting_, &request);
      continue;
    }
    is_driven_ = true;
    move(lock, last_moved_ + patience_.silence);
    is_driven_ = false;
  }
  if (!is_driven_ && !waiting_.empty()) {
    waiting_.front()->moved.notify_one();  // it drives on
  }
}

/// Throws the request's error, once nothing of it is under way any more.
void NbdConnection::finish(std::unique_lock<std::mutex>& lock, Request& request) {
  wait(lock, request, 0);
  const bool is_fine = request.code == 0 || request.code == request.accepted;
  if (is_fine && request.under_way == 0) {
    return;
  }
  throw failure(request.action, request.failed_at, request.code);
}

/// Waits until the server, or this side, can go on; once, and no longer than `deadline`.
void NbdConnection::move(std::unique_lock<std::mutex>& lock, Clock::time_point deadline) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLongest{1000};
  const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
  if (patience_.stop.stop_requested()) {
    return break_off({});
  }
  if (left.count() <= 0) {
    was_silent_ = true;
    return break_off("the server does not answer");
  }
  polled_ = nbd_aio_get_direction(handle_);
  const bool reads = (polled_ & LIBNBD_AIO_DIRECTION_READ) != 0;
  const bool writes = (polled_ & LIBNBD_AIO_DIRECTION_WRITE) != 0;
  pollfd polled[] = {{nbd_aio_get_fd(handle_),
                      static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0},
                     {wake_.get(), POLLIN, 0}};
  lock.unlock();
  const int rc = ::poll(polled, 2, static_cast<int>(std::min(left, kLongest).count()));
  const int code = errno;
  lock.lock();
  polled_ = 0;
  if (is_broken_) {
    return;  // by somebody else, meanwhile
  }
  if (rc < 0 && code != EINTR) {
    return break_off(std::strerror(code));
  }
  uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
  if (rc > 0 && polled[0].revents != 0) {
    last_moved_ = Clock::now();
    pulse_.beat();
    notify(polled[0].revents);
  }
}

/// Reading goes first, as nbd_poll(3) does: what is written may be for what comes after that.
void NbdConnection::notify(short events) {
  const unsigned wanted = nbd_aio_get_direction(handle_);  // may be others by now
  int rc = 0;
  if ((wanted & LIBNBD_AIO_DIRECTION_READ) != 0 && (events & (POLLIN | POLLHUP | POLLERR)) != 0) {
    rc = nbd_aio_notify_read(handle_);
  } else if ((wanted & LIBNBD_AIO_DIRECTION_WRITE) != 0 &&
             (events & (POLLOUT | POLLHUP | POLLERR)) != 0) {
    rc = nbd_aio_notify_write(handle_);
  } else if ((events & POLLNVAL) != 0) {
    return break_off("the connection is lost");
  }
  if (rc < 0) {
    break_off(libnbd_said(), nbd_get_errno());
  } else if (nbd_aio_is_dead(handle_) > 0 || nbd_aio_is_closed(handle_) > 0) {
    break_off("the server closed the connection");
  }
}

void NbdConnection::wake_driver() {
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
}

/// Gives the handle back while all that libnbd may still touch is there. REQUIRES: the mutex is
/// held, and libnbd has not called us.
void NbdConnection::break_off(std::string reason, int code) {
  if (std::exchange(is_broken_, true)) {
    return;
  }
  reason_ = std::move(reason);
  broken_by_ = code;
  nbd_close(std::exchange(handle_, nullptr));
  wake_driver();
  for (Request* const request : waiting_) {
    request->moved.notify_one();
  }
}

Error NbdConnection::failure(const std::string& action, std::optional<uint64_t> offset,
                             int code) const {
  if (is_broken_ && patience_.stop.stop_requested()) {
    return cancelled_error();
  }
  ErrorParts parts = {.kind = ErrorKind::kIo,
                      .object = name_,
                      .action = action,
                      .offset = offset,
                      .cause = fmt::format("the server answers: {}", std::strerror(code))};
  if (is_broken_) {
    parts.cause = reason_.empty() ? "the connection was given up" : reason_;
    parts.hint = "see the server's own messages, and the network";
    if (was_silent_) {
      parts.hint += "; --stall-timeout SECONDS lets a copy wait longer";
    }
  } else if (code == EPROTO) {
    parts.cause = "the server's answer has not the bytes that were asked for";
    parts.hint = "this is a fault of the server, or of what is between: see its own messages";
  } else if (code == ENOSPC) {
    parts.hint = "free some space where the server keeps its data";
  }
  return Error(std::move(parts));
}

}  // namespace vmferry
