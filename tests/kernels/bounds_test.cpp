#include <gtest/gtest.h>

#include "guarded.h"
#include "kernel_cases.h"
#include "kernels/activations.h"
#include "kernels/backend.h"
#include "kernels/layout.h"

namespace lowbit::kernels {
namespace {

using testing::Guarded;
using testing::make_input;
using testing::make_weight;
using testing::WeightCase;

const WeightCase kCases[] = {
    {16, 64, 32, 4},
    {17, 33, 32, 4},
    {1, 1, 1, 2},
    {5, 100, 64, 3},
    {33, 300, 300, 8},
    {40, 31, 16, 2},
    {16, 600, 600, 4},
    {7, 129, 64, 8},
    {16, 64, 64, 3},
    {32, 512, 256, 2},
    {20, 90, 64, 4, Decoding::kTable},
    {20, 90, 64, 8, Decoding::kRealZero},
    {20, 90, 32, 4, Decoding::kWholeZero, false, ScaleStorage::kFloat32, true, 30},
    {17, 33, 32, 4, Decoding::kWholeZero, false, ScaleStorage::kUint8},
    {33, 600, 64, 3, Decoding::kWholeZero, true, ScaleStorage::kUint8},
    {20, 90, 32, 2, Decoding::kWholeZero, false, ScaleStorage::kUint8, true, 30},
};

// A product whose packed codes, input, output, bias, residual and workspace all lie between forbidden pages. A packed
// matrix is moved there by a copy of its view.
void multiply_guarded(const Backend& backend, const PackedWeight& weight, Arithmetic arithmetic, std::int64_t tokens,
                      Guarded<float>::Side side) {
  const PackedLayout& layout = weight.layout();
  const std::int64_t rows = weight.rows();
  const std::int64_t columns = weight.columns();
  const auto bytes_side =
      side == Guarded<float>::Side::kStart ? Guarded<std::uint8_t>::Side::kStart : Guarded<std::uint8_t>::Side::kEnd;
  Guarded<std::uint8_t> codes(static_cast<std::size_t>(layout.blocks * layout.block_bytes), bytes_side);
  codes.assign(layout.data.get());
  Guarded<float> input(static_cast<std::size_t>(tokens * columns), side);
  input.assign(make_input(tokens, columns).data());
  const Kernel& kernel = *backend.select(arithmetic, layout.packed_bits, tokens);
  const Arranged sizes = lay_out(nullptr, layout, kernel, tokens);
  // In whole cache lines, so that the last one ends at the page.
  Guarded<std::uint8_t> space(sizes.bytes, bytes_side);
  const Arranged arranged = lay_out(reinterpret_cast<std::byte*>(space.data()), layout, kernel, tokens);
  const Input view{input.data(), tokens, columns, columns};
  arrange_tokens({layout, kernel, arithmetic, view, arranged}, 0, tokens);
  Blocks blocks = layout.view();
  blocks.data = codes.data();
  for (std::int64_t block = 0; block < layout.blocks; block += kCallBlocks) {
    const std::int64_t count = std::min<std::int64_t>(kCallBlocks, layout.blocks - block);
    Guarded<float> sums(static_cast<std::size_t>(tokens * kCallRows), side);
    kernel.run({&blocks, block, count, arranged.values, arranged.run_scales, arranged.run_sums, tokens, sums.data()});
  }
  Guarded<float> output(static_cast<std::size_t>(tokens * rows), side);
  Guarded<float> bias(static_cast<std::size_t>(rows), side);
  Guarded<float> residual(static_cast<std::size_t>(tokens * rows), side);
  multiply_on(backend, {weight,
                        arithmetic,
                        view,
                        {output.data(), tokens, rows, rows},
                        {bias.span(), residual.data(), rows},
                        std::as_writable_bytes(space.span()),
                        {},
                        {}});
}

TEST(Product, ReadsAndWritesNothingBesideItsBuffers) {
  for (const Backend& backend : all_backends()) {
    if (!backend.missing().empty()) continue;
    for (const WeightCase& c : kCases) {
      const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
      for (const Arithmetic arithmetic : testing::kArithmetics) {
        if (!testing::legal(c, arithmetic)) continue;
        for (const std::int64_t tokens : {1, 2, 3, 4, 5, 7, 13}) {
          multiply_guarded(backend, weight, arithmetic, tokens, Guarded<float>::Side::kStart);
          multiply_guarded(backend, weight, arithmetic, tokens, Guarded<float>::Side::kEnd);
        }
      }
    }
  }
}

TEST(PackedWeight, IsMadeOfNothingBesideItsParts) {
  for (const WeightCase& c : kCases) {
    const UnpackedWeight weight = make_weight(c);
    for (const auto side : {Guarded<float>::Side::kStart, Guarded<float>::Side::kEnd}) {
      const auto bytes_side = side == Guarded<float>::Side::kStart ? Guarded<std::uint8_t>::Side::kStart
                                                                   : Guarded<std::uint8_t>::Side::kEnd;
      Guarded<std::uint8_t> codes(weight.codes.size(), bytes_side);
      Guarded<float> scales(weight.scales.size(), side);
      Guarded<float> zeros(weight.zeros.size(), side);
      Guarded<float> table(weight.table.size(), side);
      codes.assign(weight.codes.data());
      scales.assign(weight.scales.data());
      zeros.assign(weight.zeros.data());
      table.assign(weight.table.data());
      CanonicalWeight view = weight.view();
      view.codes = codes.span();
      view.scales = scales.span();
      view.zeros = zeros.span();
      view.table = table.span();
      EXPECT_EQ(PackedWeight::pack(view).unpack().codes, weight.codes) << c;
    }
  }
}

// Rows of input and output that lie apart: what is between them is neither read nor written.
TEST(Product, KeepsToItsStrides) {
  constexpr std::int64_t kTokens = 7;
  const WeightCase c{21, 70, 32, 4, Decoding::kWholeZero, false, ScaleStorage::kUint8};
  const PackedWeight weight = PackedWeight::pack(make_weight(c).view());
  const std::vector<float> dense = make_input(kTokens, c.columns);
  const std::int64_t input_stride = c.columns + 5;
  const std::int64_t output_stride = c.rows + 3;
  std::vector<float> input(static_cast<std::size_t>(kTokens * input_stride), std::nanf(""));
  for (std::int64_t t = 0; t < kTokens; ++t) {
    std::copy_n(dense.begin() + t * c.columns, c.columns, input.begin() + t * input_stride);
  }
  for (const Arithmetic arithmetic : testing::kArithmetics) {
    const std::vector<float> expected = testing::run_product(weight, arithmetic, dense, "").values;
    std::vector<float> output(static_cast<std::size_t>(kTokens * output_stride), 123.0F);
    std::vector<std::byte> space(workspace_bytes(weight, arithmetic, kTokens, ""));
    multiply({weight,
              arithmetic,
              {input.data(), kTokens, c.columns, input_stride},
              {output.data(), kTokens, c.rows, output_stride},
              {},
              space,
              {},
              {}});
    for (std::int64_t t = 0; t < kTokens; ++t) {
      for (std::int64_t r = 0; r < output_stride; ++r) {
        const float value = output[static_cast<std::size_t>(t * output_stride + r)];
        EXPECT_EQ(value, r < c.rows ? expected[static_cast<std::size_t>(t * c.rows + r)] : 123.0F);
      }
    }
  }
}

}  // namespace
}  // namespace lowbit::kernels
