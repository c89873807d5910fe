#include "model/expected_tensors.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/containers/tensor_entry.h"
#include "lowbit/tensor/factory.h"
#include "support/test_data.h"

namespace lowbit {
namespace {

using testing::TemporaryFolder;

// A file of one tensor of Q8_0, in blocks of a half-precision scale of 1 and 32 codes.
class StoredRows : public ::testing::Test {
 protected:
  TensorEntry store(const std::vector<std::int64_t>& shape) {
    constexpr std::size_t kBlockBytes = 34;
    std::int64_t elements = 1;
    for (const std::int64_t size : shape) elements *= size;
    std::string bytes(static_cast<std::size_t>(elements / 32) * kBlockBytes, '\0');
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const std::size_t place = i % kBlockBytes;
      bytes[i] = place == 0 ? '\0' : place == 1 ? '\x3c' : static_cast<char>(i * 7 % 251);
    }
    write_file_atomically(folder_ / "rows", bytes);
    file_ = MappedFile::open(folder_ / "rows");
    return {"rows", StorageType::kQ8_0, shape, file_->bytes()};
  }

  TemporaryFolder folder_;
  std::shared_ptr<const MappedFile> file_;
};

TEST_F(StoredRows, AreThoseOfTheWholeTensor) {
  const TensorEntry entry = store({50, 64});
  const at::Tensor whole = read_floats(entry, file_);
  EXPECT_EQ(whole.select(0, 0).select(0, 0).item<float>(), 14.0F);  // the code of byte 2
  for (const auto& [first, count] : {std::pair<std::int64_t, std::int64_t>{0, 50}, {0, 1}, {7, 20}, {49, 1}}) {
    const std::optional<at::Tensor> rows = read_rows(entry, file_, first, count);
    ASSERT_TRUE(rows.has_value());
    EXPECT_TRUE(rows->equal(whole.narrow(0, first, count))) << first;
  }
}

TEST_F(StoredRows, AreNotReadAloneWhereABlockHoldsSeveral) {
  EXPECT_FALSE(read_rows(store({4096, 1}), file_, 0, 32).has_value());
  EXPECT_FALSE(read_rows(store({4, 16}), file_, 0, 2).has_value());
}

}  // namespace
}  // namespace lowbit
