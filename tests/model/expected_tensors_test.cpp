#include "model/expected_tensors.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/containers/tensor_entry.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/ops.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::TemporaryFolder;

// A file of one tensor of Q8_0, in blocks of a half-precision scale of 1 and 32 codes.
class StoredRows : public ::testing::Test {
 protected:
  std::vector<std::int64_t> heights(const std::vector<std::int64_t>& shape) {
    constexpr std::int64_t kBlockBytes = 34;
    std::int64_t elements = 1;
    for (const std::int64_t size : shape) elements *= size;
    std::string bytes(static_cast<std::size_t>(elements / 32 * kBlockBytes), '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::size_t place = i % kBlockBytes;
      bytes[i] = place == 0 ? '\0' : place == 1 ? '\x3c' : static_cast<char>(i * 7 % 251);
    }
    write_file_atomically(folder_ / "rows", bytes);
    const auto file = MappedFile::open(folder_ / "rows");
    const TensorEntry entry{"rows", StorageType::kQ8_0, shape, file->bytes()};
    std::vector<std::int64_t> heights;
    std::vector<at::Tensor> parts;
    read_rows(entry, file, [&](const at::Tensor& rows) {
      heights.push_back(rows.size(0));
      parts.push_back(rows.clone());
    });
    EXPECT_TRUE(concatenate(parts, 0).equal(read_floats(entry, file)));
    return heights;
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(StoredRows, AreReadInPartsOfFourMiB) {
  EXPECT_EQ(heights({2500, 1024}), (std::vector<std::int64_t>{1024, 1024, 452}));
  EXPECT_EQ(heights({3, 64}), (std::vector<std::int64_t>{3}));
}

TEST_F(StoredRows, AreReadAtOnceWhereABlockHoldsSeveral) {
  EXPECT_EQ(heights({1 << 21, 1}), (std::vector<std::int64_t>{1 << 21}));
  EXPECT_EQ(heights({4096}), (std::vector<std::int64_t>{4096}));
}

}  // namespace
}  // namespace lowbit
