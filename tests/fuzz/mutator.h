#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit::fuzzing {

/// Changes inputs in the ways that break readers: bytes, integers of all widths, numbers in texts, ill-formed UTF-8,
/// deep nesting, cuts, repeats, and parts of other inputs. The same seed makes the same changes on every machine.
class Mutator {
 public:
  Mutator(const std::vector<std::string>& seeds, const std::vector<std::string>& words)
      : seeds_(seeds), words_(words) {}

  /// The `number`-th change: one of the seeds with one to six mutations.
  [[nodiscard]] std::string make(std::uint64_t number);

 private:
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 16;

  [[nodiscard]] std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  void mutate(std::string& text);
  void change_byte(std::string& text);
  void write_integer(std::string& text);
  void replace_number(std::string& text);
  void insert_word(std::string& text);
  void nest(std::string& text);
  void repeat_range(std::string& text);
  void splice(std::string& text);

  const std::vector<std::string>& seeds_;
  const std::vector<std::string>& words_;
  std::mt19937_64 random_;
};

}  // namespace lowbit::fuzzing
