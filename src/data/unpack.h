#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lowbit {

/// Whether a file's name says that it is packed: .gz, .bz2 or .zst, or as a table: .parquet or .arrow.
[[nodiscard]] bool is_packed(std::string_view extension);
/// Whether it is a table, whose rows become lines of JSON.
[[nodiscard]] bool is_table(std::string_view extension);
/// The content of a file packed as `extension` says. Stops early, in the middle, once the text holds `lines` line feeds
/// (0: never). Throws `kData` as "<origin>: ..." when it is damaged, ends too soon or unpacks to more than `limit`
/// bytes.
[[nodiscard]] std::string unpack(std::string_view extension, std::string_view packed, std::string_view origin,
                                 std::uint64_t limit, std::int64_t lines = 0);

/// The same for one form: streams one behind the other are one text.
[[nodiscard]] std::string gunzip(std::string_view packed, std::string_view origin, std::uint64_t limit,
                                 std::int64_t lines = 0);
[[nodiscard]] std::string bunzip2(std::string_view packed, std::string_view origin, std::uint64_t limit,
                                  std::int64_t lines = 0);
[[nodiscard]] std::string unzstd(std::string_view packed, std::string_view origin, std::uint64_t limit,
                                 std::int64_t lines = 0);

/// The rows of a table as lines of JSON, which takes liblowbit_arrow.so (data/arrow). Throws `kUnsupported`, with the
/// remedy, where that is missing. Memory besides the text: a batch of rows and what it is decoded from, at most
/// `limit`.
[[nodiscard]] std::string unpack_table(std::string_view extension, std::string_view packed, std::string_view origin,
                                       std::uint64_t limit, std::int64_t lines = 0);

/// Gathers what is unpacked piece by piece, within the bounds above.
class UnpackedText {
 public:
  UnpackedText(std::string_view origin, std::uint64_t limit, std::int64_t lines)
      : origin_(origin), limit_(limit), lines_(lines) {}
  /// False once there are enough lines.
  bool add(std::string_view piece);
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  std::string_view origin_;
  std::uint64_t limit_;
  std::int64_t lines_;
  std::int64_t line_feeds_ = 0;
  std::string text_;
};

}  // namespace lowbit
