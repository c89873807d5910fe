// Prints which element of an operand each lane's value is, by CuTe's traits of the instructions (the wheel
// nvidia-cutlass==4.2.0.0, unpacked into $cutlass):
//   g++ -std=c++17 -I$cutlass/cutlass_library/source/include -I$cuda/include -I$cuda/include/cccl cuda_fragments.cpp
//   ./a.out > cuda_fragments.txt
// Lines: instruction, operand, lane, value, row, column; B is [K, 8].
#include <cstdio>

#include <cute/atom/mma_traits_sm80.hpp>

template <typename Layout>
void print_operand(const char* name, const char* operand, Layout layout, int rows, bool transposed) {
  const int lanes = cute::size<0>(layout);
  const int values = cute::size<1>(layout);
  for (int lane = 0; lane < lanes; ++lane) {
    for (int value = 0; value < values; ++value) {
      const int at = layout(lane, value);
      const int first = at % rows;
      const int second = at / rows;
      std::printf("%s %s %d %d %d %d\n", name, operand, lane, value, transposed ? second : first,
                  transposed ? first : second);
    }
  }
}

template <typename Instruction>
void print_all(const char* name) {
  using Traits = cute::MMA_Traits<Instruction>;
  using Shape = typename Traits::Shape_MNK;
  print_operand(name, "A", typename Traits::ALayout{}, cute::get<0>(Shape{}), false);
  print_operand(name, "B", typename Traits::BLayout{}, cute::get<1>(Shape{}), true);
  print_operand(name, "C", typename Traits::CLayout{}, cute::get<0>(Shape{}), false);
}

int main() {
  print_all<cute::SM80_16x8x16_F32F16F16F32_TN>("m16n8k16");
  print_all<cute::SM80_16x8x32_S32U8S8S32_TN>("m16n8k32");
}
