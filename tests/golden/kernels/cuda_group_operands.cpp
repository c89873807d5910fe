// Prints what CuTe says of Hopper's matrix instruction with its left operand in registers (the wheel
// nvidia-cutlass==4.2.0.0, unpacked into $cutlass):
//   g++ -std=c++17 -I$cutlass/cutlass_library/source/include -I$cuda/include -I$cuda/include/cccl cuda_group_operands.cpp
//   ./a.out | grep -v ERROR > both    # CuTe says that a host has no addresses in shared memory; they are 0
//   grep -v '^[A-Za-z]*8 ' both > cuda_group_operands.txt; grep '^[A-Za-z]*8 ' both > cuda_group_bytes.txt
// Lines: "A" or "C", thread, value, row, column; "B", tokens, token, depth, place of the number in shared memory, for
// the layout without swizzle whose depth lies side by side; "descriptor", tokens, its 64 bits at address 0. "A8", "C8",
// "B8" and "descriptor8": the same of the instruction of bytes.
#include <cstdio>

#include <cute/atom/mma_traits_sm90_gmma.hpp>
#include <cute/tensor.hpp>

using namespace cute;

template <typename Layout>
void print_operand(const char* operand, Layout layout, int rows) {
  for (int thread = 0; thread < size<0>(layout); ++thread) {
    for (int value = 0; value < size<1>(layout); ++value) {
      const int at = layout(thread, value);
      std::printf("%s %d %d %d %d\n", operand, thread, value, at % rows, at / rows);
    }
  }
}

template <int kTokens, typename Number = half_t>
void print_right(const char* suffix = "", bool places = true) {
  constexpr int kDepth = 32 / sizeof(Number);
  const auto layout = tile_to_shape(SM90::GMMA::Layout_K_INTER_Atom<Number>{}, Shape<Int<kTokens>, Int<kDepth>>{});
  for (int token = 0; places && token < kTokens; ++token) {
    for (int depth = 0; depth < kDepth; ++depth) {
      std::printf("B%s %d %d %d %d\n", suffix, kTokens, token, depth, static_cast<int>(layout(token, depth)));
    }
  }
  const auto tensor = make_tensor(make_smem_ptr(static_cast<Number*>(nullptr)), layout);
  const auto descriptor = SM90::GMMA::make_gmma_desc<SM90::GMMA::Major::K>(tensor);
  std::printf("descriptor%s %d %llu\n", suffix, kTokens, static_cast<unsigned long long>(descriptor.desc_));
}

int main() {
  using Instruction = SM90::GMMA::MMA_64x16x16_F32F16F16_RS<SM90::GMMA::Major::K, SM90::GMMA::Major::K>;
  using Traits = MMA_Traits<Instruction>;
  print_operand("A", typename Traits::ALayout{}, 64);
  print_operand("C", typename Traits::CLayout{}, 64);
  print_right<16>();
  print_right<32>();
  print_right<64>();
  print_right<128>();
  using ByteTraits = MMA_Traits<SM90::GMMA::MMA_64x16x32_S32U8S8_RS_TN>;
  print_operand("A8", typename ByteTraits::ALayout{}, 64);
  print_operand("C8", typename ByteTraits::CLayout{}, 64);
  print_right<64, int8_t>("8");
  print_right<128, int8_t>("8", false);
  print_right<256, int8_t>("8", false);
}
