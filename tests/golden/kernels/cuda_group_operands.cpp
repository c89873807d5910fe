// Prints what CuTe says of Hopper's matrix instruction with its left operand in registers (the wheel
// nvidia-cutlass==4.2.0.0, unpacked into $cutlass):
//   g++ -std=c++17 -I$cutlass/cutlass_library/source/include -I$cuda/include -I$cuda/include/cccl cuda_group_operands.cpp
//   ./a.out | grep -v ERROR > cuda_group_operands.txt    # CuTe says that a host has no addresses in shared memory; they are 0
// Lines: "A" or "C", thread, value, row, column; "B", tokens, token, depth, place of the number in shared memory, for
// the layout without swizzle whose depth lies side by side; "descriptor", tokens, its 64 bits at address 0.
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

template <int kTokens>
void print_right() {
  const auto layout = tile_to_shape(SM90::GMMA::Layout_K_INTER_Atom<half_t>{}, Shape<Int<kTokens>, Int<16>>{});
  for (int token = 0; token < kTokens; ++token) {
    for (int depth = 0; depth < 16; ++depth) {
      std::printf("B %d %d %d %d\n", kTokens, token, depth, static_cast<int>(layout(token, depth)));
    }
  }
  const auto tensor = make_tensor(make_smem_ptr(static_cast<half_t*>(nullptr)), layout);
  const auto descriptor = SM90::GMMA::make_gmma_desc<SM90::GMMA::Major::K>(tensor);
  std::printf("descriptor %d %llu\n", kTokens, static_cast<unsigned long long>(descriptor.desc_));
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
}
