// SPDX-License-Identifier: LGPL-2.1-or-later

#include <filesystem>
#include <random>

#include "tests/unit/catch.h"
#include "tests/unit/domain_properties.h"
#include "tests/unit/text_file.h"
#include "vmferry/error.h"

namespace vmferry::test {
namespace {

namespace fs = std::filesystem;

/// Definitions put together at random from parts that are odd, but legal.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  std::string domain() {
    std::string text = one_of({"", "\xEF\xBB\xBF", "<?xml version='1.0'?>\n", "<!-- <disk> -->"});
    text += "<domain type='kvm'>" + space() + "<devices>" + space();
    for (int i = 0, disks = number(5); i < disks; ++i) {
      text += disk(i) + space() + noise();
    }
    return text + "</devices>" + noise() + "</domain>" + one_of({"", "\n", "<!-- end -->\r\n"});
  }

 private:
  int number(int below) { return std::uniform_int_distribution<>(0, below - 1)(random_); }

  std::string one_of(std::vector<std::string> choices) {
    return choices[static_cast<size_t>(number(static_cast<int>(choices.size())))];
  }

  std::string space() { return one_of({"", "\n  ", "\r\n\t", "\n\n\n    ", " "}); }

  std::string noise() {
    return one_of({"", "<!-- a > b -->", "<?p i?>", "text &amp; more", "<![CDATA[<disk>]]>",
                   "<a b='>' c=\"'\"/>", "<x:disk xmlns:x='y'><target dev='vda'/></x:disk>"});
  }

  std::string value(const std::string& name, const std::string& text) {
    const std::string quote = one_of({"'", "\""});
    return " " + name + one_of({"=", " = "}) + quote + text + quote;
  }

  std::string disk(int number_of_disk) {
    std::vector<std::string> children = {
        "<source" + value("file", "/i&amp;" + std::to_string(number_of_disk)) +
            one_of({"/>", " index='1'></source>", "><slices><slice/></slices></source>"}),
        "<target" + value("dev", "vd" + std::to_string(number_of_disk)) + " bus='virtio'/>"};
    const std::vector<std::string> more = {
        "<driver type='qcow2' io='native'/>",
        "<driver name='qemu'>" + space() + "<metadata_cache/>" + space() + "</driver>",
        "<backingStore/>",
        "<backingStore type='file'>" + space() +
            "<source file='/b'/><backingStore/></backingStore>",
        "<alias name='ua-x'/>",
        "<alias name='x'/>",
        "<serial>&#65;</serial>",
        "<readonly/>",
        "<encryption format='luks'/>",
        "<shareable/>",
        "<mirror/>",
        "<address type='pci'" + value("slot", "0x1") + "/>"};
    const std::string& driver = more[static_cast<size_t>(number(2))];
    if (number(2) == 0) {
      children.push_back(driver);
    }
    for (size_t i = 2; i < more.size(); ++i) {
      if (number(3) == 0) {
        children.push_back(more[i]);
      }
    }
    std::shuffle(children.begin(), children.end(), random_);
    std::string text =
        "<disk" + value("type", "file") + one_of({"", " device='cdrom'", "\n"}) + ">";
    for (const std::string& child : children) {
      text += space() + noise() + space() + child;
    }
    return text + space() + noise() + "</disk>";
  }

  std::mt19937 random_;
};

}  // namespace

TEST_CASE("rewriting the samples changes what it should and nothing else") {
  int samples = 0;
  for (const auto& entry : fs::directory_iterator(VMFERRY_SAMPLES)) {
    if (entry.path().extension() != ".xml") {
      continue;
    }
    CAPTURE(entry.path().string());
    const Domain domain = parse_domain(read_text(entry.path()), entry.path().filename().string());
    CHECK(broken_property(domain, all_to_rbd(domain)) == "");
    ++samples;
  }
  CHECK(samples >= 50);
}

TEST_CASE("rewriting any definition changes what it should and nothing else", "[alone]") {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    const std::string text = Maker(seed).domain();
    CAPTURE(seed, text);
    const Domain domain = parse_domain(text, "t");
    std::vector<DiskMove> moves = all_to_rbd(domain);
    if (seed % 3 == 0 && !moves.empty()) {
      moves.erase(moves.begin());
    }
    REQUIRE(broken_property(domain, moves) == "");
  }
}

TEST_CASE("a definition that was cut or damaged anywhere is refused or makes sense", "[alone]") {
  const std::string whole = read_text(fs::path(VMFERRY_SAMPLES) / "live-chain.xml");
  REQUIRE(whole.size() > 1000);
  std::mt19937 random(7);
  for (size_t i = 0; i < 4000; ++i) {
    std::string text = whole;
    if (i < whole.size()) {
      text.resize(i);
    } else {
      text[random() % text.size()] = static_cast<char>(random());
    }
    CAPTURE(text);
    try {
      const Domain domain = parse_domain(text, "t");
      const std::string broken = broken_property(domain, all_to_rbd(domain));
      REQUIRE(broken == "");
    } catch (const Error& error) {
      CHECK(error.kind() != ErrorKind::kIo);
    }
  }
}

}  // namespace vmferry::test
