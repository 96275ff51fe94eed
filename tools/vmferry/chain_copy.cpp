// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/chain_copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <utility>

#include "lib/core/printable.h"
#include "tools/vmferry/history.h"
#include "tools/vmferry/ui/progress.h"
#include "tools/vmferry/ui/say.h"
#include "vmferry/chain_directory.h"
#include "vmferry/create.h"
#include "vmferry/error.h"
#include "vmferry/transfer_changes.h"

namespace vmferry::cli {
namespace {

std::string file_of(const ChainLink& link) {
  return std::filesystem::path(link.path).filename().string();
}

std::string in_words(const std::optional<Point>& point) {
  if (!point) {
    return "no snapshot";
  }
  return fmt::format("the snapshot '{}'{}", printable(point->name),
                     point->id.empty() ? "" : " (id " + printable(point->id) + ")");
}

void refuse_for_chain(const ImageCopy& job) {
  const struct {
    bool is_wanted;
    const char* option;
    const char* cause;
  } impossible[] = {
      {job.to.force, "--force", "an image that is replaced would change those over it"},
      {job.to.resume, "--resume", "what is complete stays, and is gone on from with --since"},
      {job.to.base.has_value(), "--base", "only a volume is made over a base"},
      {job.from.snapshot.is_given(), "--snapshot", "a chain ends with the disk as it is now"},
      {job.trim, "--trim", "what is trimmed is another disk than its snapshots are of"},
      {job.digest, "--digest or --report", "they are about one copy"},
      {job.chain_as_snapshots, "--chain-as-snapshots", "that is a chain already"},
      {job.to.reflink == Reflink::kAlways, "--reflink always",
       "such an image shares no blocks with its source"},
  };
  for (const auto& [is_wanted, option, cause] : impossible) {
    if (is_wanted) {
      throw Error({.kind = ErrorKind::kUsage,
                   .object = "--chain",
                   .action = {},
                   .cause = cause,
                   .hint = fmt::format("leave {} out", option)});
    }
  }
}

/// One run.
class ChainMaker {
 public:
  ChainMaker(Session& session, ImageCopy& job, const ChainCopy& chain, OpenedSource opened,
             std::vector<LinkOutcome>& made)
      : session_(session),
        job_(job),
        chain_(chain),
        source_(std::move(opened.guest)),
        identities_(std::move(opened.identities)),
        history_(history_of(*source_)),
        points_(history_.points()),
        name_(chain_name(*job.source)),
        made_(made) {}

  void run() {
    newest_ = open_newest();
    const std::vector<size_t> states = chain_.since.empty() ? all_states() : states_since();
    require_few(states.size());
    for (const size_t state : states) {
      make(state);
    }
  }

 private:
  static const History& history_of(const Source& source) {
    choose_points(source, {"all"});  // says what is wrong where there is none
    return dynamic_cast<const History&>(source);
  }

  std::optional<ChainLink> open_newest() const {
    return open_newest_link(chain_.directory, name_, job_.layout.format, job_.from.network);
  }

  Error conflict(std::string cause, std::string hint) const {
    return Error({.kind = ErrorKind::kConflict,
                  .object = chain_.directory,
                  .action = "add to the chain",
                  .cause = std::move(cause),
                  .hint = std::move(hint)});
  }

  /// Which states there will be images of: indices of points, and their number: the disk itself.
  std::vector<size_t> all_states() const {
    if (newest_) {
      throw conflict("there is a chain of this disk already, up to " + file_of(*newest_),
                     "add what has changed with --since SNAPSHOT, or name another directory");
    }
    std::vector<size_t> states = choose_points(
        *source_, job_.snapshots.empty() ? std::vector<std::string>{"all"} : job_.snapshots);
    states.push_back(points_.size());
    return states;
  }

  std::vector<size_t> states_since() {
    before_ = choose_point(*source_, chain_.since);
    require_newest(points_[before_]);
    std::vector<size_t> states;
    if (!job_.snapshots.empty()) {
      states = choose_points(*source_, job_.snapshots);
      std::erase_if(states, [this](size_t state) { return state <= before_; });
    }
    states.push_back(points_.size());
    return states;
  }

  void require_newest(const Point& point) const {
    if (!newest_) {
      throw conflict(fmt::format("there is no image {}-NN-... in it", name_),
                     "make the whole chain first: leave --since out");
    }
    const std::optional<Point>& there = newest_->point;
    if (!there) {
      throw conflict("its newest image " + file_of(*newest_) + " holds no snapshot",
                     "that disk has changed since: remove the image, and name the snapshot of the "
                     "one below it");
    }
    if (there->name != point.name || there->id != point.id || there->size != point.size ||
        there->seconds != point.seconds) {
      throw conflict(fmt::format("its newest image {} holds {}, not {}", file_of(*newest_),
                                 in_words(there), in_words(point)),
                     "vmferry info shows what an image holds");
    }
    constexpr uint64_t kImageSector = 512;
    if (newest_->disk->size() != (point.size + kImageSector - 1) / kImageSector * kImageSector) {
      throw conflict(
          "its newest image " + file_of(*newest_) + " has another size than the snapshot",
          "it was changed since: make the chain anew in another directory");
    }
  }

  void require_few(size_t more) const {
    const size_t there = newest_ ? newest_->number : 0;
    if (there + more > kMostChainLinks) {
      throw conflict(fmt::format("it would have {} images, and more than {} are not made",
                                 there + more, kMostChainLinks),
                     "begin another chain in another directory");
    }
  }

  void make(size_t state) {
    const bool is_kept = state < points_.size();
    const std::unique_ptr<Source> then = is_kept ? history_.open_point(state) : nullptr;
    const Source& disk = is_kept ? *then : *source_;
    const std::optional<Point> point = is_kept ? std::optional(points_[state]) : history_.here();
    const unsigned number = newest_ ? newest_->number + 1 : 1;
    const std::string path =
        chain_link_path(chain_.directory, name_, number, point, job_.layout.format);
    ImageLink link{.point = point};
    TargetOptions to = job_.to;
    to.size = disk.size();
    to.sources = identities_;
    if (newest_) {
      link.backing = file_of(*newest_);
      link.backing_format = job_.layout.format;
      link.below = newest_->disk;
      to.sources.insert(to.sources.end(), newest_->opened.begin(), newest_->opened.end());
    }
    const std::unique_ptr<Target> target = create_image(PathLocation{path}, to, job_.layout, link);
    made_.push_back({path, point, copy(disk, state, *target)});
    newest_ = open_newest();
    if (!newest_ || newest_->path != path) {
      throw conflict(path + " was moved, or another one was added", "who else is at work there?");
    }
    before_ = state;
  }

  TransferResult copy(const Source& disk, size_t state, Target& target) {
    ProgressObserver observer(session_, job_.run.progress_style());
    const TransferOptions options = transfer_options(session_, job_, file_name(target));
    if (!newest_) {
      return transfer(disk, target, options, &observer);
    }
    const std::unique_ptr<Changes> changes = history_.changes(before_, state);
    return transfer_changes(disk, *newest_->disk, *changes, target, options, &observer);
  }

  static std::string file_name(Target& target) {
    return std::filesystem::path(target.sink().name()).filename().string();
  }

  Session& session_;
  ImageCopy& job_;
  const ChainCopy& chain_;
  const std::shared_ptr<const Source> source_;
  const std::vector<Identity> identities_;
  const History& history_;
  const std::vector<Point> points_;
  const std::string name_;
  std::vector<LinkOutcome>& made_;
  std::optional<ChainLink> newest_;
  size_t before_ = 0;  ///< the state that it holds
};

}  // namespace

void copy_chain(Session& session, ImageCopy& job, const ChainCopy& chain,
                std::vector<LinkOutcome>& made) {
  refuse_for_chain(job);
  if (!job.layout.format.is_container()) {
    job.layout.format = chain_format();
  }
  job.to.verify = !job.verify_how.empty();
  job.never_keep = true;  // what is complete is kept, and the rest is small
  job.from.network.stop = session.stop();
  job.to.network = job.from.network;
  job.to.before_making = [&session] { session.making_something(); };
  job.to.notice = say_notice;
  job.to.stop = session.stop();
  OpenedSource opened = open_source(session, job);
  if (opened.stream) {
    throw Error({.kind = ErrorKind::kUsage,
                 .object = job.source->display(),
                 .action = {},
                 .cause = "what is read in order has no snapshots",
                 .hint = "leave --chain out"});
  }
  ChainMaker(session, job, chain, std::move(opened), made).run();
}

}  // namespace vmferry::cli
