#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <random>
#include <string>

#include "lowbit/base/error.h"
#include "support/source_folder.h"
#include "support/test_data.h"

namespace lowbit::testing {

inline std::filesystem::path golden(const std::string& name) {
  return testing::source_folder() / "tests/golden" / name;
}

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// The error's message, or an empty text when there is none; any exception but `Error` fails the test.
inline std::string error_text(const std::function<void()>& action, ErrorCode expected = ErrorCode::kData) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), expected) << error.what();
    return error.what();
  }
  return {};
}

using Opener = std::function<void(const std::filesystem::path&)>;

/// Each proper prefix of the file must be refused as bad data. (One file is cut shorter and shorter: to write each anew
/// would wait for the disk.)
inline void expect_every_truncation_refused(const std::filesystem::path& original, const Opener& open) {
  const TemporaryFolder folder;
  const auto path = folder / "cut";
  const std::string bytes = read_bytes(original);
  write_bytes(path, bytes);
  open(path);
  for (std::size_t size = bytes.size(); size-- > 0;) {
    std::filesystem::resize_file(path, size);
    EXPECT_NE(error_text([&] { open(path); }), "") << "cut to " << size << " of " << bytes.size();
  }
}

/// Opens the file with one to three bytes changed, `rounds` times; each time it opens or throws `Error`, and nothing
/// else.
inline void expect_byte_changes_survived(const std::filesystem::path& original, const Opener& open, int rounds) {
  const TemporaryFolder folder;
  const auto path = folder / "changed";
  const std::string bytes = read_bytes(original);
  write_bytes(path, bytes);
  std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
  std::mt19937 random(1);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string changed = bytes;
    const std::uint32_t count = 1 + random() % 3;
    for (std::uint32_t i = 0; i < count; ++i) changed[random() % changed.size()] = static_cast<char>(random());
    stream.seekp(0).write(changed.data(), static_cast<std::streamsize>(changed.size())).flush();
    try {
      open(path);
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == ErrorCode::kData || error.code() == ErrorCode::kUnsupported) << error.what();
      ++refused;
    }
  }
  EXPECT_TRUE(stream.good());
  EXPECT_GT(refused, rounds / 10) << "the changes hardly touch what is checked";
}

}  // namespace lowbit::testing
