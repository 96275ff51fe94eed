// SPDX-License-Identifier: LGPL-2.1-or-later
#include <array>
#include <mutex>
#include <utility>

#include "lib/libvirt/libvirt_guest.h"

// What a person would look at: the console and the screen. Both are the guest's to fill.

namespace vmferry::libvirt {
namespace {

constexpr size_t kMostConsole = 64 << 10;     // bytes that wait for read()
constexpr size_t kMostScreenshot = 64 << 20;  // bytes; of 4K pixels it has 25 MiB
using Piece = std::array<char, 32 << 10>;

/// What the thread of libvirt's event loop has received.
class ReceivedText {
 public:
  void add(std::string_view piece) {
    const std::lock_guard guard(mutex_);
    text_ += piece;
    if (text_.size() > kMostConsole) {
      text_.erase(0, text_.size() - kMostConsole);
    }
  }
  std::string take() {
    const std::lock_guard guard(mutex_);
    return std::exchange(text_, {});
  }

 private:
  std::mutex mutex_;
  std::string text_;
};
using SharedText = std::shared_ptr<ReceivedText>;

/// However much a guest says, others have their turn.
void receive(virStreamPtr stream, int events, void* text) {
  constexpr int kMostPieces = 16;
  Piece piece = {};
  for (int i = 0; i < kMostPieces; ++i) {
    const int got = virStreamRecv(stream, piece.data(), piece.size());
    if (got > 0) {
      (*static_cast<SharedText*>(text))->add({piece.data(), static_cast<size_t>(got)});
      continue;
    }
    constexpr int kNothingYet = -2;
    const bool lost = (events & (VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP)) != 0;
    if (got != kNothingYet || lost) {
      virStreamEventUpdateCallback(stream, 0);  // there is nothing more to come
    }
    return;
  }
}

void forget(void* text) { delete static_cast<SharedText*>(text); }

class LibvirtConsole : public GuestConsole {
 public:
  /// REQUIRES: the stream is open, and does not block.
  LibvirtConsole(Connection connection, StreamPtr stream, const std::string& label)
      : connection_(std::move(connection)),
        stream_(std::move(stream)),
        text_(std::make_shared<ReceivedText>()) {
    auto* const shared = new SharedText(text_);
    constexpr int kEvents =
        VIR_STREAM_EVENT_READABLE | VIR_STREAM_EVENT_ERROR | VIR_STREAM_EVENT_HANGUP;
    if (virStreamEventAddCallback(stream_.get(), kEvents, receive, shared, forget) != 0) {
      const Error error = libvirt_error(label, "read its console");
      forget(shared);
      virStreamAbort(stream_.get());
      throw Error(error);
    }
  }
  LibvirtConsole(const LibvirtConsole&) = delete;
  LibvirtConsole& operator=(const LibvirtConsole&) = delete;
  ~LibvirtConsole() override {
    virStreamEventRemoveCallback(stream_.get());
    virStreamAbort(stream_.get());
  }

  std::string read() override { return text_->take(); }

 private:
  const Connection connection_;  // outlives the stream
  const StreamPtr stream_;
  const SharedText text_;
};

}  // namespace

std::unique_ptr<GuestConsole> LibvirtGuest::open_console() {
  StreamPtr stream(virStreamNew(connection_.get(), VIR_STREAM_NONBLOCK));
  if (!stream) {
    throw libvirt_error(label(), "open its console");
  }
  check(virDomainOpenConsole(find().get(), nullptr, stream.get(), VIR_DOMAIN_CONSOLE_FORCE),
        "open its console");
  return std::make_unique<LibvirtConsole>(connection_, std::move(stream), label());
}

Screenshot LibvirtGuest::screenshot() {
  const std::string action = "take a screenshot";
  const StreamPtr stream(virStreamNew(connection_.get(), 0));
  if (!stream) {
    throw libvirt_error(label(), action);
  }
  const Text type(virDomainScreenshot(find().get(), stream.get(), 0, 0));
  if (!type) {
    throw libvirt_error(label(), action);
  }
  Screenshot shot = {.type = type.get(), .bytes = {}};
  Piece piece = {};
  for (int got = 1; got != 0;) {
    got = virStreamRecv(stream.get(), piece.data(), piece.size());
    if (got < 0) {
      throw libvirt_error(label(), action);  // the stream is broken, and needs no abort
    }
    shot.bytes.append(piece.data(), static_cast<size_t>(got));
    if (shot.bytes.size() > kMostScreenshot) {
      virStreamAbort(stream.get());
      throw Error({.kind = ErrorKind::kUnsupported,
                   .object = label(),
                   .action = action,
                   .cause = "the picture is larger than 64 MiB"});
    }
  }
  virStreamFinish(stream.get());
  return shot;
}

void LibvirtGuest::limit_agent(std::chrono::seconds limit) {
  check(virDomainAgentSetResponseTimeout(find().get(), static_cast<int>(limit.count()), 0),
        "set how long its agent may take");
}

}  // namespace vmferry::libvirt
