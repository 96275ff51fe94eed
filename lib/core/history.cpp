// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <filesystem>
#include <utility>

#include "vmferry/history.h"

namespace vmferry {
namespace {

using Layers = std::vector<std::shared_ptr<const Source>>;  // the lowest one first

/// A layer with all below it.
class LayerSource : public ForwardingSource {
 public:
  explicit LayerSource(std::shared_ptr<const Source> layer)
      : ForwardingSource(*layer), layer_(std::move(layer)) {}

 private:
  const std::shared_ptr<const Source> layer_;
};

/// What the layers say themselves, each of which lies over the one before.
class LayerChanges final : public Changes {
 public:
  /// `layers`: first the one that is compared with.
  explicit LayerChanges(Layers layers) : layers_(std::move(layers)) {
    common_ = layers_.front()->size();
    for (const auto& layer : layers_) {
      common_ = std::min(common_, layer->size());
    }
  }

  Run run_at(uint64_t offset, uint64_t max) const override {
    if (offset >= common_) {
      return {max, true};
    }
    Run run = {std::min(max, common_ - offset), false};
    for (auto layer = layers_.begin() + 1; layer != layers_.end(); ++layer) {
      const Run own = dynamic_cast<const Overlay&>(**layer).own_run_at(offset, run.length);
      if (own.may_differ) {
        return own;
      }
      run.length = own.length;
    }
    return run;
  }

 private:
  const Layers layers_;
  uint64_t common_ = 0;
};

class LayerHistory final : public LayerSource, public History {
 public:
  LayerHistory(const std::shared_ptr<const Source>& top, std::map<std::string, std::string> names)
      : LayerSource(top), names_(std::move(names)) {
    for (std::shared_ptr<const Source> layer = top; layer != nullptr;) {
      layers_.push_back(layer);
      const auto* overlay = dynamic_cast<const Overlay*>(layer.get());
      layer = overlay != nullptr ? overlay->below() : nullptr;
    }
    std::reverse(layers_.begin(), layers_.end());
  }

  std::vector<Point> points() const override {
    std::vector<Point> points;
    for (size_t i = 0; i + 1 < layers_.size(); ++i) {
      const Source& layer = *layers_[i];
      points.push_back({.name = name_of(layer), .id = std::to_string(i + 1), .size = layer.size()});
    }
    return points;
  }
  std::unique_ptr<Source> open_point(size_t index) const override {
    return std::make_unique<LayerSource>(layers_[index]);
  }
  std::unique_ptr<Changes> changes(size_t before, size_t after) const override {
    const auto first = layers_.begin() + static_cast<std::ptrdiff_t>(before);
    const auto last = layers_.begin() + static_cast<std::ptrdiff_t>(after);
    return std::make_unique<LayerChanges>(Layers(first, last + 1));
  }

 private:
  std::string name_of(const Source& layer) const {
    const auto given = names_.find(layer.name());
    return given != names_.end() ? given->second
                                 : std::filesystem::path(layer.name()).stem().string();
  }

  const std::map<std::string, std::string> names_;
  Layers layers_;
};

}  // namespace

std::unique_ptr<Source> layers_as_history(std::shared_ptr<const Source> top,
                                          std::map<std::string, std::string> names) {
  return std::make_unique<LayerHistory>(top, std::move(names));
}

}  // namespace vmferry
