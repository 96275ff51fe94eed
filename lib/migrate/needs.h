// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmferry/host.h"
#include "vmferry/in_use.h"
#include "vmferry/migrate.h"

namespace vmferry::migrate {

/// What one disk of a domain is made of.
struct Need {
  std::string domain;
  std::string dev;                  ///< empty: the definition cannot be read
  std::vector<std::string> things;  ///< FileLook::identity, or VolumeName::display()
  std::string unknown;              ///< why there may be more of them; empty: there are not
};

/// Of every disk of every domain of a host, running or not, in both definitions, with the chains
/// that the images' headers name. Throws if the host cannot be asked at all.
std::vector<Need> all_needs(Host& host, MigrationStorage& storage);

/// Why `thing` must stay: "domain clone needs it for vda"; empty: nobody needs it. Who is `known`
/// to need it does not count.
std::string who_needs(const std::string& thing, const std::vector<Need>& needs,
                      const std::function<bool(const Need&)>& known);

/// Why an image of this format may not be removed; empty: it may.
std::string why_foreign_stays(const ImageFormat& format);

/// Why the file of an image that moved may not be removed by its name; empty: it may.
std::string why_file_stays(const HostImage& image, const FileLook& look);

/// The same for a volume that moved, and is `now` so.
std::string why_volume_stays(const HostImage& image, const ImageParts& now);

/// The format of a declared image; nothing: one that is not read here.
std::optional<ImageFormat> format_of(const DiskImage& image);

}  // namespace vmferry::migrate
