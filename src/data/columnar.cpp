#include "data/columnar.h"

#include <dlfcn.h>

#include <exception>
#include <filesystem>
#include <vector>

#include "data/unpack.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;
using columnar::Table;

constexpr const char* kLibrary = "liblowbit_arrow.so";

/// Places where the library may lie: beside this code, or where the build puts it beside its programs; last, where the
/// dynamic linker looks.
std::vector<std::string> places() {
  std::vector<std::string> paths;
  Dl_info own{};
  if (::dladdr(reinterpret_cast<const void*>(&places), &own) != 0 && own.dli_fname != nullptr) {
    const fs::path folder = fs::path(own.dli_fname).parent_path();
    for (const fs::path& path : {folder / kLibrary, folder / ".." / "lib" / kLibrary}) {
      std::error_code ignored;
      if (fs::exists(path, ignored)) paths.push_back(path.string());
    }
  }
  paths.emplace_back(kLibrary);
  return paths;
}

/// Gathers rows as lines. What it throws may not cross the library, so it is kept for later.
struct Lines {
  UnpackedText text;
  std::exception_ptr thrown = nullptr;
  std::string line = {};

  static bool take(void* context, const char* row, std::size_t size) {
    auto& lines = *static_cast<Lines*>(context);
    try {
      lines.line.assign(row, size);
      lines.line += '\n';
      return lines.text.add(lines.line);
    } catch (...) {
      lines.thrown = std::current_exception();
      return false;
    }
  }
};

}  // namespace

namespace columnar {

const Table& load_table(std::span<const std::string> places, std::string_view origin) {
  // Never closed: it is small, and what it links keeps state of its own.
  void* handle = nullptr;
  std::string reason = "no reason given";
  for (const std::string& path : places) {
    handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) break;
    if (const char* text = ::dlerror(); text != nullptr) reason = text;
  }
  if (handle == nullptr) {
    fail(ErrorCode::kUnsupported,
         "{}: Parquet and Arrow files are read by {}, which cannot be loaded ({}); run 'tools/setup --arrow' and build "
         "lowbit again, or write the file as JSON lines",
         origin, kLibrary, reason);
  }
  const auto function = reinterpret_cast<TableFunction>(::dlsym(handle, kTableSymbol));
  const Table* table = function == nullptr ? nullptr : function();
  if (table == nullptr || table->interface != kInterface) {
    fail(ErrorCode::kUnsupported, "{}: the {} that was loaded is another lowbit's; build both from one source", origin,
         kLibrary);
  }
  return *table;
}

}  // namespace columnar

std::string unpack_table(std::string_view extension, std::string_view packed, std::string_view origin,
                         std::uint64_t limit, std::int64_t lines) {
  LOWBIT_ASSERT(is_table(extension));
  const Table& table = columnar::load_table(places(), origin);
  Lines out{.text = UnpackedText(origin, limit, lines), .thrown = nullptr};
  char error[1024] = {};
  const bool read = table.read({.data = packed.data(),
                                .size = packed.size(),
                                .form = extension == ".parquet" ? columnar::Form::kParquet : columnar::Form::kArrow,
                                .memory = limit,
                                .take = Lines::take,
                                .context = &out,
                                .error = error,
                                .error_size = sizeof error});
  if (out.thrown != nullptr) std::rethrow_exception(out.thrown);
  if (!read) fail(ErrorCode::kData, "{}: {}", origin, error);
  return out.text.take();
}

}  // namespace lowbit
