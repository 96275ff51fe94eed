// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmferry/api.h"
#include "vmferry/extent.h"

namespace VMFERRY_API vmferry {

/// A guest disk that can be read: a store's bytes, or a format's view of them.
/// All sizes and offsets are bytes. Every method is const and may be called from many threads at
/// once; all of them throw Error when the store fails or the image contradicts its format.
class Source {
 public:
  virtual ~Source() = default;

  /// The name to use in messages: what the user, or the image that refers to it, called it.
  virtual const std::string& name() const = 0;
  /// The size a guest sees. Any number: not rounded to sectors.
  virtual uint64_t size() const = 0;

  /// Exactly one extent that starts at `offset` and is 1..max bytes long. It need not be the
  /// longest possible. An optimisation only: a store that cannot tell answers kData. REQUIRES: max
  /// > 0 and offset + max <= size().
  virtual Extent extent_at(uint64_t offset, uint64_t max) const = 0;

  /// Fills `out` from `offset`, wholly, or throws. REQUIRES: offset + out.size() <= size().
  virtual void read_at(uint64_t offset, std::span<std::byte> out) const = 0;

  /// Says that [offset, offset + length) will be read soon. Never waits, never fails.
  virtual void prefetch(uint64_t offset, uint64_t length) const;

  /// Throws Error (kConflict) when what was opened is not what is there now: the bytes that were
  /// read may then be of two states, or gone. Asks the store; a store that could not be asked
  /// throws as well. A source that cannot change returns. Ask before relying on what was read.
  virtual void check_unchanged() const {}

  /// The same for a source that may be written meanwhile: throws when what was opened is gone or
  /// shorter, so that zeros were read in its place.
  virtual void check_still_there() const {}

  /// What it was when it was opened, as words with commas between. While that is the same its bytes
  /// are the same, also in another process. Empty: that cannot be told.
  virtual std::string stamp() const { return {}; }

  /// How long the store has been silent, though something is read. Any thread.
  virtual std::chrono::milliseconds silent_for() const { return {}; }

  /// Reads aligned to this many bytes do no work twice (the cluster size of a compressed image).
  virtual uint64_t read_alignment() const { return 1; }

  /// How much to read at once (bytes) of a store that is far away: who reads less mostly waits for
  /// answers. Zeros that are shorter than a part of this are better read than left out. 0: as much
  /// as is wanted. May ask the store.
  virtual uint64_t preferred_read() const { return 0; }
};

/// Passes every call on to another source, which must outlive it: for one that changes a few of
/// them. What the other is besides (a Layout ...) this is not.
class ForwardingSource : public Source {
 public:
  explicit ForwardingSource(const Source& inner) : inner_(inner) {}

  const std::string& name() const override { return inner_.name(); }
  uint64_t size() const override { return inner_.size(); }
  Extent extent_at(uint64_t offset, uint64_t max) const override {
    return inner_.extent_at(offset, max);
  }
  void read_at(uint64_t offset, std::span<std::byte> out) const override {
    inner_.read_at(offset, out);
  }
  void prefetch(uint64_t offset, uint64_t length) const override {
    inner_.prefetch(offset, length);
  }
  void check_unchanged() const override { inner_.check_unchanged(); }
  void check_still_there() const override { inner_.check_still_there(); }
  std::string stamp() const override { return inner_.stamp(); }
  std::chrono::milliseconds silent_for() const override { return inner_.silent_for(); }
  uint64_t read_alignment() const override { return inner_.read_alignment(); }
  uint64_t preferred_read() const override { return inner_.preferred_read(); }

 private:
  const Source& inner_;
};

}  // namespace VMFERRY_API vmferry
