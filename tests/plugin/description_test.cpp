#include "plugin/description.h"

#include <gtest/gtest.h>

#include <string>

#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;

const std::string kOwn =
    "lowbit: 0.1.0\ninterface: abc\ncompiler: GCC 12\nlibrary: libstdc++, CXX11 ABI 1\ntorch: 2.11.0\n";

std::string description(const std::string& name, const std::string& build) {
  return "lowbit-plugin 1\nname: " + name + "\nversion: 2.0\n" + build;
}

std::string refusal_of(const std::string& text) {
  return error_text(ErrorCode::kPlugin, [&] { (void)check_description(text, kOwn, "x.so"); });
}

// `kOwn` with one line replaced.
std::string other(const std::string& key, const std::string& value) {
  std::string build = kOwn;
  const std::size_t begin = build.find(key + ": ");
  return description("mine", build.replace(begin, build.find('\n', begin) - begin, key + ": " + value));
}

TEST(PluginDescription, TellsNameAndVersionOfAPluginOfThisBuild) {
  const PluginDescription plugin = check_description(description("mine", kOwn) + std::string(1, '\0'), kOwn, "x.so");
  EXPECT_EQ(plugin.name, "mine");
  EXPECT_EQ(plugin.version, "2.0");
}

TEST(PluginDescription, RefusesEachDifferenceOfTheBuild) {
  EXPECT_EQ(refusal_of(other("lowbit", "0.2.0")),
            "x.so: plugin 'mine' was built with another version of lowbit ('0.2.0', this lowbit has '0.1.0'); build it "
            "against this one");
  EXPECT_EQ(refusal_of(other("interface", "abd")),
            "x.so: plugin 'mine' was built with another interface of lowbit ('abd', this lowbit has 'abc'); build it "
            "again against the headers of this lowbit");
  EXPECT_EQ(refusal_of(other("compiler", "Clang 19")),
            "x.so: plugin 'mine' was built with another compiler ('Clang 19', this lowbit has 'GCC 12'); build it with "
            "that of lowbit");
  EXPECT_EQ(refusal_of(other("library", "libc++, ABI 1")),
            "x.so: plugin 'mine' was built with another C++ standard library ('libc++, ABI 1', this lowbit has "
            "'libstdc++, CXX11 ABI 1'); build it with that of lowbit");
  EXPECT_EQ(
      refusal_of(other("torch", "2.10.0")),
      "x.so: plugin 'mine' was built with another LibTorch ('2.10.0', this lowbit has '2.11.0'); build it against "
      "that of lowbit");
}

TEST(PluginDescription, RefusesWhatIsNoDescription) {
  EXPECT_EQ(refusal_of(std::string(64, '\0')), "x.so: the section that describes a lowbit plugin holds something else");
  EXPECT_EQ(refusal_of("lowbit-plugin 2\n"),
            "x.so: a plugin with entry point '2', this lowbit calls '1'; build it against this lowbit");
  EXPECT_EQ(refusal_of("lowbit-plugin 1\nname: mine\n" + kOwn), "x.so: its description of itself lacks 'version'");
  EXPECT_EQ(refusal_of(description("mine", "")), "x.so: its description of itself lacks 'lowbit'");
}

TEST(PluginDescription, RefusesNamesThatNoExperimentFileCouldUse) {
  for (const char* name : {"Mine", "9th", "a b", "a/b", ""}) {
    EXPECT_NE(refusal_of(description(name, kOwn)).find("the plugin calls itself"), std::string::npos) << name;
  }
  EXPECT_TRUE(is_module_name("my_quantizer-2"));
}

}  // namespace
}  // namespace lowbit
