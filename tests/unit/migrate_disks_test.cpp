// SPDX-License-Identifier: LGPL-2.1-or-later
#include <filesystem>

#include "tests/unit/catch.h"
#include "tests/unit/migrate_rig.h"
#include "tests/unit/temp_dir.h"
#include "tests/unit/text_file.h"

// What the new disks of a migration are called, and what its plan says of the old ones.

namespace vmferry::test {
namespace {

ErrorKind refusal(Rig& rig) {
  try {
    rig.plan();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("not refused");
  return ErrorKind::kIo;
}

/// What a check says; empty: there is none of that name.
std::string message_of(const Plan& plan, const std::string& name) {
  for (const Check& check : plan.checks) {
    if (check.name == name) {
      return check.message;
    }
  }
  return {};
}

/// The first image is a VMDK.
const WayUnderTest& staged_from_vmdk() {
  static const WayUnderTest kWay = {
      "staged here, from VMDK", [](World& world, MigrateRequest& request) {
        way_named("staged here").prepare(world, request);
        world.images.at("/img/web1.img").format = "vmdk";
        DomainData& guest = world.hosts.at("alpha").domains.at(kGuestName);
        guest.disks.at("vda").chain.front().format = "vmdk";
        const std::string raw = "type=\"raw\"";
        for (std::string* text : {&guest.stored, &guest.running}) {
          text->replace(text->find(raw), raw.size(), "type=\"vmdk\"");
        }
      }};
  return kWay;
}

}  // namespace

TEST_CASE("names of new disks are made as those of rewrite", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.request.name_template = "{uuid}_{dev}";
  CHECK(rig.plan().disks[0].volume.image == std::string(kGuestUuid) + "_vda");
  rig.request.disks["vdb"] = {"vms", "named"};
  CHECK(rig.plan().disks[0].volume.image == "named");

  Rig back(way_named("back to files, live"));
  back.request.name_template = "{dev}-of-{uuid}";
  CHECK(back.plan().disks[0].image.path == std::string("/back/vda-of-") + kGuestUuid + ".raw");

  back.request.file_layout.format = *find_format("qcow2");
  CHECK(back.plan().disks[0].image.path == std::string("/back/vda-of-") + kGuestUuid + ".qcow2");

  for (const char* bad : {"{host}-{dev}", "{dev", "{domain}@{dev}", "{domain}/{dev}"}) {
    CAPTURE(bad);
    rig.request.disks.clear();
    rig.request.name_template = bad;
    CHECK(refusal(rig) == ErrorKind::kUsage);
  }
}

TEST_CASE("two disks on one file, under whatever names, are refused before", "[migrate]") {
  TempDir dir;
  const std::string image = (dir / "web1.img").string();
  const std::string link = (dir / "link.img").string();
  write_text(image, "data");
  std::filesystem::create_symlink(image, link);
  Rig rig(way_named("staged here"));
  for (const auto& [old, fresh] :
       {std::pair("/img/web1.img", image), {"/img/web1-data.qcow2", link}}) {
    rig.world().images[fresh] = rig.world().images.at(old);
    for (std::string* text : {&rig.guest().stored, &rig.guest().running}) {
      text->replace(text->find(old), std::string(old).size(), fresh);
    }
  }
  const Plan plan = rig.plan();
  CHECK(!plan.possible());
  CHECK(message_of(plan, "disk vda").find("vda and vdb are on one image") != std::string::npos);
}

TEST_CASE("an image of others is frozen and copied as any", "[migrate]") {
  {
    Rig rig(staged_from_vmdk());
    const Plan plan = rig.plan();
    CHECK(plan.disks[0].image.format.name() == std::string("vmdk"));
    // Its parts are in no chain.
    CHECK_FALSE(plan.disks[0].image.chain_known);
    CHECK(plan.disks[1].image.chain_known);
    CHECK(rig.run(plan).done());
    CHECK(rig.problems_if_moved() == std::vector<std::string>());
  }
  Rig rig(staged_from_vmdk());
  const Plan plan = rig.plan();
  rig.world().arm(1, Fault::kKillAfter, "alpha: block_copy");
  CHECK(rig.run(plan).killed);
  rig.world().arm(0, Fault::kNone);
  CHECK(rig.recover(Recovery::kUndo).done());
  CHECK(rig.problems_if_untouched() == std::vector<std::string>());
}

TEST_CASE("an image of others that QEMU shows otherwise is refused before", "[migrate]") {
  Rig rig(staged_from_vmdk());
  rig.world().qemu_cuts = 512;
  CHECK(message_of(rig.plan(), "disk vda").find("but the running guest sees") != std::string::npos);
  rig.world().qemu_cuts = 0;
  rig.world().arm(1, Fault::kFailBefore, "image_usage");
  CHECK_FALSE(rig.plan().possible());
}

TEST_CASE("a disk on RBD that a file could not be stays there, with the reason", "[migrate]") {
  const std::string name = "name=\"vms/old-b\"";
  const std::string type = "type=\"raw\"";
  struct Odd {
    std::string from, to, reason;
  };
  for (const Odd& odd : std::vector<Odd>{
           {"device=\"disk\"", "device=\"cdrom\"", "it is a cdrom"},
           {"<serial>", "<shareable/><serial>", "it is shared with other machines"},
           {"<serial>", "<transient/><serial>", "it is transient"},
           {name + ">", name + "><snapshot name=\"monday\"/>", "it is a snapshot of a volume"},
           {name, "name=\"vms/ns/old-b\"", "its volume is in a namespace"},
           {type, "type=\"qcow2\"", "its volume holds a qcow2 image"}}) {
    Rig rig(way_named("back to files, live"));
    for (std::string* text : {&rig.guest().stored, &rig.guest().running}) {
      const size_t second = text->find("<disk", text->find("<disk") + 1);
      text->replace(text->find(odd.from, second), odd.from.size(), odd.to);
    }
    const Plan plan = rig.plan();
    INFO(odd.reason);
    REQUIRE(plan.stays.size() == 2);
    CHECK(plan.stays.front().starts_with("vdb: " + odd.reason));
    CHECK(plan.disks.size() == 1);
  }
}

TEST_CASE("a layout that new files cannot have is refused before", "[migrate]") {
  const auto told = [](uint64_t size, const ImageLayout& layout) {
    Rig rig(way_named("back to files, live"));
    rig.world().images.at("rbd:vms/old-a").size = size;
    rig.request.file_layout = layout;
    const Plan plan = rig.plan();
    CHECK_FALSE(plan.possible());
    return message_of(plan, "disk vda");
  };
  const ImageFormat qcow2 = *find_format("qcow2");
  CHECK(told(uint64_t{1} << 40, {.format = qcow2, .cluster_size = 512})
            .find("is too large for clusters of 512") != std::string::npos);
  CHECK(told(kDiskBytes, {.format = qcow2, .compression_level = 3})
            .find("a level is given, but no compression") != std::string::npos);
  CHECK(told(kDiskBytes, {.compression = "zstd"}).find("a raw image has no clusters") !=
        std::string::npos);
}

TEST_CASE("checkpoints are named with what removes them", "[migrate]") {
  Rig rig(way_named("staged here"));
  rig.guest().checkpoints = {"monday", "it's tuesday"};
  for (const Check& check : rig.plan().checks) {
    if (check.name == "checkpoints") {
      CHECK(check.hint ==
            "remove them after the move: virsh checkpoint-delete web1 monday --metadata; virsh "
            "checkpoint-delete web1 'it'\\''s tuesday' --metadata");
    }
  }
  CHECK(!message_of(rig.plan(), "checkpoints").empty());
}

TEST_CASE("a file that QEMU may not open is explained", "[migrate]") {
  for (const auto& [way, call] : {std::pair("staged here", "alpha: snapshot"),
                                  {"staged here", "alpha: block_copy"},
                                  {"back to files, live", "alpha: block_copy"}}) {
    Rig rig(way_named(way));
    const Plan plan = rig.plan();
    rig.world().failure = "Could not open '/img/o': Permission denied";
    rig.world().arm(1, Fault::kFailBefore, call);
    const Outcome outcome = rig.run(plan);
    CHECK(outcome.message.find("QEMU runs as another user") != std::string::npos);
    CHECK(outcome.hint.find("dynamic_ownership") != std::string::npos);
    CHECK(rig.problems_if_untouched() == std::vector<std::string>());
  }
}

}  // namespace vmferry::test
