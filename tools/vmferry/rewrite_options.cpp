// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tools/vmferry/rewrite_options.h"

#include <fmt/format.h>

#include "tools/vmferry/options.h"
#include "vmferry/error.h"
#include "vmferry/location.h"

namespace vmferry::cli {
namespace {

Error usage(std::string object, std::string cause, std::string hint = {}) {
  return Error({.kind = ErrorKind::kUsage,
                .object = std::move(object),
                .action = {},
                .cause = std::move(cause),
                .hint = std::move(hint)});
}

RbdTarget in_pool(const Domain& domain, const MoveOptions& options, const std::string& dev) {
  RbdTarget target = options.cluster;
  target.pool = options.pool;
  target.image = fill_name_template(options.name_template, domain, dev);
  return target;
}

RbdTarget at_location(const MoveOptions& options, const std::string& dev, const std::string& text) {
  const std::string object = fmt::format("--disk {}", dev);
  RbdLocation volume = parse_rbd_location(text);
  if (!volume.name_space.empty()) {
    throw Error({.kind = ErrorKind::kUnsupported,
                 .object = object,
                 .action = {},
                 .cause = "libvirt and QEMU open no volume in a namespace of a pool",
                 .hint = "choose a volume outside of namespaces: rbd:POOL/IMAGE"});
  }
  if (!volume.snapshot.empty()) {
    throw usage(object, "names a snapshot, which is read-only", "name a volume");
  }
  if (!volume.options.empty()) {
    throw usage(object, "has options after the volume",
                "use --id, --ceph-conf and --monitor instead");
  }
  RbdTarget target = options.cluster;
  target.pool = std::move(volume.pool);
  target.image = std::move(volume.image);
  return target;
}

/// "NAME=VALUE", or "NAME" with an empty value.
std::pair<std::string, std::string> split(const std::string& argument) {
  const size_t equals = argument.find('=');
  if (equals == std::string::npos) {
    return {argument, {}};
  }
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

DiskTarget target_of(const Domain& domain, const MoveOptions& options,
                     const std::string& argument) {
  const auto [dev, location] = split(argument);
  if (!location.empty()) {
    return at_location(options, dev, location);
  }
  if (!options.pool.empty()) {
    return in_pool(domain, options, dev);
  }
  throw usage(fmt::format("--disk {}", dev.substr(0, dev.find(':'))),
              "does not say where the disk shall be",
              "write --disk vda=rbd:POOL/IMAGE, or give --pool");
}

}  // namespace

std::vector<DiskMove> make_moves(const Domain& domain, const MoveOptions& given) {
  MoveOptions options = given;
  for (const std::string& text : options.monitors) {
    options.cluster.monitors.push_back(parse_monitor(text));
  }
  if (!names_disks(options) && options.pool.empty()) {
    throw usage("rewrite", "is not told where the disks shall be",
                "give --pool POOL for all that can move, or --disk vda=rbd:POOL/IMAGE");
  }
  std::vector<DiskMove> moves;
  auto add = [&](std::string dev, DiskTarget target) {
    moves.push_back({std::move(dev), std::move(target), options.driver, options.drop_encryption});
  };
  for (const std::string& argument : options.disks) {
    add(split(argument).first, target_of(domain, options, argument));
  }
  for (const std::string& argument : options.to_files) {
    const auto [dev, path] = split(argument);
    if (path.empty()) {
      throw usage(fmt::format("--to-file {}", argument), "does not say where the disk shall be",
                  "write --to-file vda=/PATH");
    }
    add(dev, FileTarget{path, options.format});
  }
  if (names_disks(options)) {
    return moves;
  }
  for (const DomainDisk& disk : domain.disks) {
    if (disk.can_move()) {
      add(disk.target, in_pool(domain, options, disk.target));
    }
  }
  return moves;
}

void add_move_options(CLI::App& app, MoveOptions& options) {
  const auto list = [&app](const char* flag, std::vector<std::string>& into, const char* help) {
    return app.add_option(flag, into, help)->allow_extra_args(false);
  };
  list("--disk", options.disks,
       "Move this disk and no other, but those named likewise; to --pool, or where it says")
      ->type_name("DEV[=rbd:POOL/IMAGE]");
  app.add_option("--pool", options.pool, "Pool for the disks whose volume is not named")
      ->type_name("POOL");
  app.add_option("--name-template", options.name_template,
                 "Names of volumes in --pool, from {domain}, {uuid} and {dev} (default: "
                 "{domain}-{dev})")
      ->type_name("TEXT");
  CLI::Option* to_file =
      list("--to-file", options.to_files, "Move this disk from RBD to a file or block device")
          ->type_name("DEV=PATH");
  app.add_option("-O,--target-format", options.format,
                 fmt::format("Format of that file: {} (default: {})",
                             fmt::join(new_format_names(), " or "), ImageFormat().name()))
      ->type_name("FORMAT")
      ->check(CLI::IsMember(new_format_names()))
      ->needs(to_file);
  app.add_flag("--drop-encryption", options.drop_encryption,
               "Encrypted disks may move: the copy is plain");

  const char* cluster = "Ceph, as the host that runs the domain shall reach it";
  list("--monitor", options.monitors,
       "A monitor; may be repeated (default: those of that host's ceph.conf)")
      ->type_name("HOST[:PORT]")
      ->group(cluster);
  app.add_option("--ceph-conf", options.cluster.conf, "A ceph.conf on that host")
      ->type_name("FILE")
      ->group(cluster);
  app.add_option("--id", options.cluster.id, "Ceph user, without 'client.'")
      ->type_name("USER")
      ->check(refuse_client_prefix)
      ->group(cluster);
  auto* uuid = app.add_option("--secret-uuid", options.cluster.secret_uuid,
                              "libvirt's secret with the user's key, by its UUID")
                   ->type_name("UUID")
                   ->group(cluster);
  app.add_option("--secret-usage", options.cluster.secret_usage, "The same, by its usage name")
      ->type_name("NAME")
      ->group(cluster)
      ->excludes(uuid);

  const char* driver = "How QEMU treats the disks (default: as before, and discard=unmap)";
  const auto add = [&](const char* flag, std::optional<std::string>& value, const char* help) {
    app.add_option(flag, value, help)->type_name("MODE")->group(driver);
  };
  add("--cache", options.driver.cache,
      "default, none, writeback, writethrough, directsync or unsafe");
  add("--io", options.driver.io, "threads, native or io_uring");
  add("--discard", options.driver.discard, "unmap or ignore");
  add("--detect-zeroes", options.driver.detect_zeroes, "off, on or unmap");
}

}  // namespace vmferry::cli
