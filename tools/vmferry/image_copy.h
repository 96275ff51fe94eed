// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/vmferry/options.h"
#include "tools/vmferry/ui/session.h"
#include "vmferry/copy.h"
#include "vmferry/format.h"
#include "vmferry/location.h"
#include "vmferry/open.h"
#include "vmferry/stream.h"
#include "vmferry/target.h"
#include "vmferry/transfer.h"
#include "vmferry/transfer_history.h"
#include "vmferry/trim.h"

// What commands that copy an image to a target have in common: convert and sparsify.

namespace vmferry::cli {

struct ImageCopy {
  std::optional<Location> source;  ///< set before the work begins
  std::optional<Location> target;  ///< nothing: there is none
  SourceOptions from;
  TargetOptions to;
  ImageLayout layout;  ///< of the target
  RunOptions run;
  std::string to_ceph_conf;            ///< of the target's cluster; empty: it is the source's
  std::string to_id;                   ///< the user there; empty: as there
  bool chain_as_snapshots = false;     ///< each layer below the source is a state that is kept
  std::vector<std::string> snapshots;  ///< to be kept, or "all"; empty: none
  std::optional<uint64_t> size;        ///< of what is read in order
  std::optional<uint64_t> rate_limit;
  std::string rate_file;         ///< which holds the limit, and may be changed; empty: none
  std::string verify_how;        ///< of --verify: "true", "read", or empty
  bool never_keep = false;       ///< an unfinished copy
  double checkpoint_every = 10;  ///< seconds
  bool digest = false;           ///< tell the digest of what the guest sees
  bool source_in_use = false;    ///< it may change meanwhile, and the copy is wanted all the same
  bool trim = false;
  std::string connect;  ///< libvirt to ask whether a machine that runs uses the source
  TrimOptions trimming;
};

struct CopyOutcome {
  TransferResult copied;
  std::vector<KeptPoint> points;   ///< with --snapshots
  std::vector<TrimmedPart> parts;  ///< with --trim
  std::string source_stamp;        ///< Source::stamp()
  std::string digest;              ///< with --digest
};

struct OpenedSource {
  std::shared_ptr<const Source> guest;
  std::unique_ptr<ByteStream> stream;                ///< null: guest is there
  std::vector<std::shared_ptr<const Source>> below;  ///< OpenImage::below
  std::vector<Identity> identities;
  std::vector<TrimmedPart> parts;
};

/// Format and policy of the source; how to make, check and lay out the target; then the options
/// that every command has.
void add_copy_options(CLI::App& app, ImageCopy& job);

/// Opens the source, trimmed if that is wanted. Throws Error, also if it is being written.
OpenedSource open_source(Session& session, ImageCopy& job);

/// How it is copied; `what` names the work in the progress display.
TransferOptions transfer_options(Session& session, const ImageCopy& job, const std::string& what);

/// Opens both ends, copies, verifies if asked for, and publishes. `what` names the work in the
/// progress display. Throws Error; then nothing carries the target's name that did not before.
CopyOutcome copy_image(Session& session, ImageCopy& job, const std::string& what);

/// Prints the result of copy_image; `done`: see print_report. Where standard output took the disk,
/// it goes to standard error.
void tell_result(const ImageCopy& job, const std::string& text, const std::string& done);

/// What copy_image would write, found out by reading everything and writing nothing.
CopyOutcome rehearse_image_copy(Session& session, ImageCopy& job);

/// Throws Error kUsage if a snapshot of the source is asked for: for what works on the disk as it
/// is now.
void refuse_snapshot(const ImageCopy& job);

/// job.trimming with the session's stop token, and notices that go to standard error.
TrimOptions trim_options(Session& session, const ImageCopy& job);

}  // namespace vmferry::cli
