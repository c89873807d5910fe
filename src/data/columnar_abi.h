#pragma once

#include <cstddef>
#include <cstdint>

// What liblowbit_arrow.so offers, which alone knows Arrow: loaded when a file needs it (data/columnar.h), and of plain
// types, so that no library's exceptions or containers cross.
namespace lowbit::columnar {

inline constexpr std::int32_t kInterface = 1;
inline constexpr const char* kTableSymbol = "lowbit_columnar_table";

enum class Form : std::int32_t { kParquet, kArrow };

/// Takes a row as JSON text, without a line end; false: no more are wanted.
using TakeRow = bool (*)(void* context, const char* text, std::size_t size);

struct Request {
  const char* data;
  std::size_t size;
  Form form;
  std::uint64_t memory;  ///< bytes that decoding may take, and a row's text have
  TakeRow take;
  void* context;
  char* error;  ///< gets a text that ends in 0 when reading fails
  std::size_t error_size;
};

struct Table {
  std::int32_t interface;
  /// False, with `error`, when the file is damaged, needs more memory, or has a column that has no form in JSON.
  bool (*read)(const Request& request);
};

using TableFunction = const Table* (*)();

}  // namespace lowbit::columnar
