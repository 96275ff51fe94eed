// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lib/core/blocking_call.h"
#include "lib/store/rbd/rbd_base.h"
#include "lib/store/rbd/rbd_claim.h"
#include "lib/store/rbd/rbd_flight.h"
#include "lib/store/rbd/rbd_names.h"
#include "lib/store/rbd/rbd_old.h"
#include "vmferry/target.h"

namespace vmferry {

/// A volume that is being made, from the claim on its name to the last rename. begin(), then
/// writes, then publish() or not, then end(). One thread calls those, and while it writes another
/// one may write notes; it may be another one each time, and left behind in one of them when the
/// cluster does not answer: then nobody calls anything more. `pulse` tells whether a call gets on.
class RbdNewVolume {
 public:
  /// How long one that goes on with a run that was killed waits for its claim, which lasts 30
  /// seconds longer.
  static constexpr std::chrono::seconds kClaimPatience{45};

  /// Connects. Throws Error.
  RbdNewVolume(const RbdLocation& location, const TargetOptions& options);

  /// Claims the name, ends what a killed run has begun, refuses all that can be refused, and makes
  /// the volume under its temporary name. Throws Error; end() is due all the same.
  void begin();
  /// Writes all and closes it. Throws Error; end() is due all the same. Where the new volume has
  /// its name already, an error says that it is complete.
  void publish();
  /// Waits for writes, removes what is not published, gives the claim back. Answers with a line for
  /// each thing that it could not remove.
  std::vector<std::string> end() noexcept;
  /// What end() would have to remove, a line for each, should it not answer. Any thread.
  std::vector<std::string> left_behind() const;

  /// It is what an earlier run has left, with what that wrote. After begin().
  bool adopted() const { return adopted_; }
  bool published() const { return published_; }
  /// end() leaves it where it is.
  void keep() { kept_ = true; }
  /// An error of its data, which may have a pool of their own.
  Error data_error(int rc, std::string action, std::optional<uint64_t> offset = {}) const {
    return rbd_data_error(rc, location_, data_pool_, std::move(action), offset);
  }
  // TargetNotes, in metadata of the volume under its temporary name.
  std::map<std::string, std::string> read_notes() const;
  void write_note(const std::string& key, const std::string& text);
  // See Target.
  std::string mark(const Point& point);
  std::vector<std::string> marks(const std::vector<Point>& states) const;

  Pulse& pulse() { return pulse_; }
  const RbdPool& pool() const { return pool_; }
  const RbdLocation& partial() const { return partial_; }
  RbdFlight& flight() { return flight_; }
  RbdClaim& claim() { return *claim_; }
  rbd_image_t image() const { return image_.get(); }
  /// Nothing: it shares none. After begin().
  const std::optional<RbdBase>& base() const { return base_; }

 private:
  std::string old_name() const;
  void look_at_what_is_there();
  void finish_killed_run();
  bool open_existing(RbdImage& image, const std::string& name) const;
  void refuse_half_replaced() const;
  void find_old();
  void clear_left_over();
  void create();
  void make_image();
  void look_at_new();
  bool adopt();
  bool open_unfinished();
  void require_alone();
  void require_same_layout() const;
  void tell_of_left_over() const;
  void remove_notes();
  void forget_notes_of_base();
  void make_room();
  bool has_final_name(const Error& failure) const;
  void put_old_back();
  void rename(const std::string& from, const std::string& to, const std::string& id);
  void remove_old(const std::string& action);
  void discard();
  std::string partial_left(const std::string& cause) const;
  RbdName look_up(const std::string& name) const;
  Error conflict(std::string action, std::string cause, std::string hint) const;

  const RbdLocation location_;
  RbdLocation partial_;
  const TargetOptions options_;
  Pulse pulse_;
  RbdPool pool_;
  std::optional<RbdClaim> claim_;
  std::optional<RbdOldVolume> old_;
  std::optional<RbdBase> base_;
  RbdImage image_;
  RbdFlight flight_;
  std::string id_;  // of the volume that we made
  std::string data_pool_;
  std::atomic<bool> made_ = false;
  bool adopted_ = false;
  std::atomic<bool> has_notes_ = false;
  std::atomic<bool> kept_ = false;
  std::atomic<bool> published_ = false;
  std::atomic<bool> replacing_ = false;  // the old volume may have its other name
};

}  // namespace vmferry
