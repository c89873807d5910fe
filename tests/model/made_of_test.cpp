#include "lowbit/model/made_of.h"

#include <gtest/gtest.h>

#include "model/small_model.h"
#include "support/error_text.h"

namespace lowbit {
namespace {

using testing::error_text;
using testing::SmallModel;

class Changed : public SmallModel {
 public:
  Changed() : SmallModel("changed"), changed_(SmallModel::architecture()) {}
  const Architecture& architecture() const override { return changed_; }
  Architecture& change() { return changed_; }

 private:
  Architecture changed_;
};

TEST(CheckMadeOf, NamesTheFirstSizeThatDiffers) {
  const SmallModel base("base");
  Changed quantized;
  quantized.change().vocabulary = 21;
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { check_made_of(quantized, base); }),
            "changed: is not made of 'base': its vocabulary is 21, expected 20");
  quantized.change().layers = 3;
  EXPECT_EQ(error_text(ErrorCode::kConfig, [&] { check_made_of(quantized, base); }),
            "changed: is not made of 'base': its layers are 3, expected 2");
}

TEST(CheckMadeOf, TakesWhatRecipesMayChange) {
  Changed quantized;
  quantized.change().tied_head = false;
  quantized.change().family = "another";
  EXPECT_NO_THROW(check_made_of(quantized, SmallModel("base")));
}

}  // namespace
}  // namespace lowbit
