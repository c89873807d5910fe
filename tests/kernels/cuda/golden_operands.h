#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <utility>

#include "kernels/cuda/fragments.h"
#include "kernels/cuda/hopper_input.h"
#include "support/source_folder.h"

namespace lowbit::kernels::cuda::testing {

/// The layouts of a group's operands as tests/golden/kernels/cuda_group_operands.cpp wrote them for numbers of one
/// width. Lines are "A<suffix> 3 5 0 9" and "C<suffix> 3 5 0 9": operand, thread, value, row, column; "B<suffix> 16 3 9
/// 208": tokens, token, depth, place; "descriptor<suffix> 16 8388610": tokens, descriptor.
template <typename LeftElement, typename Offset>
struct GoldenOperands {
  const char* file;
  std::string suffix;
  int bytes;               ///< of a number
  int line;                ///< numbers of 16 bytes
  LeftElement element_of;  ///< of a thread and value
  Offset offset;           ///< of tokens, token and depth

  void check(int lines) const {
    std::ifstream golden(lowbit::testing::source_folder() / "tests/golden/kernels" / file);
    std::string kind;
    int count = 0;
    for (std::int64_t a = 0, b = 0, c = 0, d = 0; golden >> kind >> a >> b; ++count) {
      const int first = static_cast<int>(a);
      if (kind == "descriptor" + suffix) {
        const auto depth_bytes = static_cast<std::uint32_t>(bytes * offset(first, 0, line));
        const auto token_bytes = static_cast<std::uint32_t>(bytes * offset(first, 8, 0));
        ASSERT_EQ(operand_descriptor(0, depth_bytes, token_bytes), static_cast<std::uint64_t>(b)) << a << " tokens";
        continue;
      }
      golden >> c >> d;
      const int second = static_cast<int>(b);
      if (kind == "B" + suffix) {
        ASSERT_EQ(offset(first, second, static_cast<int>(c)), d) << a << " tokens, token " << b << ", depth " << c;
      } else {
        const Element at = kind == "A" + suffix ? element_of(first, second) : element_of_group_c(first, second);
        ASSERT_EQ(std::pair(at.row, at.column), std::pair(static_cast<int>(c), static_cast<int>(d)))
            << kind << ", thread " << a << ", value " << b;
      }
    }
    EXPECT_EQ(count, lines);
  }
};

}  // namespace lowbit::kernels::cuda::testing
