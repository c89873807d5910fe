#pragma once

#include <string>
#include <vector>

namespace lowbit {

/// A grid of texts. The first row is the heading; columns after the first are aligned to the right.
class Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  /// Columns padded with blanks, two between them, a rule under the heading.
  [[nodiscard]] std::string plain() const;
  [[nodiscard]] std::string markdown() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// Columns that a text takes on a terminal: code points, wide East Asian ones counted twice.
[[nodiscard]] std::size_t display_width(const std::string& text);

}  // namespace lowbit
