#include "model/fingerprint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "lowbit/base/log.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/work_folder.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

// "<size> <time of change in ticks>", which a remembered hash belongs to.
std::string state_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  const auto time = error ? fs::file_time_type{} : fs::last_write_time(path, error);
  if (error) fail(ErrorCode::kIo, "{}: {}", path.string(), error.message());
  return fmt::format("{} {}", size, time.time_since_epoch().count());
}

std::optional<std::uint64_t> parse_hex(std::string_view digits) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// The inverse of Hash::hex.
std::optional<Hash> parse_hash(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  const auto first = parse_hex(text.substr(0, 16));
  const auto second = parse_hex(text.substr(16));
  if (!first || !second) return std::nullopt;
  return Hash{*second, *first};
}

// The first line is the state, the second the hash.
std::optional<Hash> recall(const fs::path& entry, const std::string& state) {
  try {
    if (!fs::is_regular_file(entry)) return std::nullopt;
    const std::string text = read_file(entry, 4096);
    if (!text.starts_with(state + "\n")) return std::nullopt;
    std::string_view rest = std::string_view(text).substr(state.size() + 1);
    return parse_hash(rest.substr(0, rest.find('\n')));
  } catch (const std::exception& error) {
    log::debug("fingerprint cache: {}", error.what());
    return std::nullopt;
  }
}

// Of the whole file, of which only a slice at a time is kept in memory.
Hash content_hash(const MappedFile& file) {
  constexpr std::size_t kSlice = std::size_t{16} << 20;
  Hasher hasher;
  for (std::span<const std::byte> rest = file.bytes(); !rest.empty();) {
    const std::span<const std::byte> slice = rest.first(std::min(kSlice, rest.size()));
    hasher.add_bytes(slice.data(), slice.size());
    release_resident(file, slice);
    rest = rest.subspan(slice.size());
  }
  return hasher.finish();
}

void remember(const fs::path& entry, const std::string& state, const Hash& hash) {
  try {
    make_folders(entry.parent_path());
    remove_abandoned_writes(entry.parent_path(), entry.filename().string());
    write_file_atomically(entry, fmt::format("{}\n{}\n", state, hash.hex()));
  } catch (const Error& error) {
    log::debug("fingerprint cache: {}", error.what());
  }
}

}  // namespace

Hash file_fingerprint(const fs::path& path) {
  const std::string name = fs::weakly_canonical(path).string();
  const fs::path entry = user_cache_folder() / "fingerprints" / hash_of(name).hex();
  const std::string state = state_of(path);
  if (const std::optional<Hash> known = recall(entry, state)) return *known;
  const Hash hash = content_hash(*MappedFile::open(path));
  remember(entry, state, hash);
  return hash;
}

}  // namespace lowbit
