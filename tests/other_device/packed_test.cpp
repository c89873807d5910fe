// Packed products on another device, by the kernels' own sources on the tests' model of a GPU: the same loader, the
// same table of functions and the same launches as on a real one.
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kernels/cuda/device_product.h"
#include "lowbit/efficiency/gemm.h"
#include "lowbit/formats/pack_weight.h"
#include "lowbit/model/model.h"
#include "lowbit/tensor/device_packed.h"
#include "lowbit/tensor/factory.h"
#include "lowbit/tensor/packed.h"
#include "model/device_linear.h"
#include "other_device/packed_on_device.h"
#include "support/error_text.h"
#include "tensor/expanded_product.h"

namespace lowbit {
namespace {

namespace cuda = kernels::cuda;
using kernels::Arithmetic;
using ::testing::AllOf;
using ::testing::Each;
using testing::error_text;
using ::testing::Field;
using ::testing::HasSubstr;
using testing::PackedOnOtherDevice;
using testing::quantized;
using testing::random_floats;
using ::testing::SizeIs;
using testing::SmallRun;
using testing::stand_in;

GridOptions symmetric_rows(int bits) {
  GridOptions grid{.bits = bits, .group = -1};
  grid.symmetry = Symmetry::kSymRestricted;
  return grid;
}

TEST_F(PackedOnOtherDevice, HasTheCpusBitsForIntegers) {
  const at::Tensor bias = random_floats({37}, "bias");
  for (const int bits : {2, 3, 4, 8}) {
    for (const std::int64_t group : {std::int64_t{32}, std::int64_t{48}, std::int64_t{-1}}) {
      const kernels::PackedWeight packed = pack_weight(quantized(37, 150, bits, group));
      const DeviceWeight weight(packed, stand_in());
      const at::Tensor x = random_floats({2, 5, 150}, "x");
      for (const auto& [there, here] : {std::pair(DeviceArithmetic::kInt8, Arithmetic::kInt8),
                                        std::pair(DeviceArithmetic::kInt16, Arithmetic::kInt16)}) {
        const at::Tensor found = weight.multiply(x.to(stand_in()), bias.to(stand_in()), there, DType::kFloat32);
        EXPECT_EQ(found.device(), stand_in());
        EXPECT_TRUE(found.cpu().equal(packed_linear(x, packed, bias, here))) << bits << " bits, groups of " << group;
      }
    }
  }
}

// A sum of 16-bit products is a sum of float32 in some order: at most a rounding of 2^-24 for each column and group.
TEST_F(PackedOnOtherDevice, TakesBFloat16AsItIs) {
  const QuantizedWeight quantized_weight = quantized(40, 600, 4, 64);
  const DeviceWeight weight(pack_weight(quantized_weight), stand_in());
  const at::Tensor dense = quantized_weight.dequantize().to(at::kDouble);
  for (const std::int64_t tokens : {1, 20}) {
    const at::Tensor x = to_dtype(random_floats({tokens, 600}, "x"), DType::kBFloat16);
    const at::Tensor wide = x.to(at::kDouble);
    const at::Tensor found = weight.multiply(x.to(stand_in()), {}, DeviceArithmetic::kBFloat16, DType::kFloat32).cpu();
    const at::Tensor allowed = wide.abs().matmul(dense.abs().t()).mul(620 * 0x1p-24);
    EXPECT_TRUE(found.to(at::kDouble).sub(wide.matmul(dense.t())).abs().le(allowed).all().item<bool>());
    const at::Tensor rounded = weight.multiply(x.to(stand_in()), {}, DeviceArithmetic::kBFloat16, DType::kBFloat16);
    EXPECT_TRUE(rounded.cpu().equal(to_dtype(found, DType::kBFloat16)));
  }
}

TEST_F(PackedOnOtherDevice, GivesTheWeightBack) {
  SmallRun run;
  run.quantize("[{gptq: {bits: 4, group: 8, act_order: true}}]", "moved");
  for (const std::string& name : linear_names(run.model().architecture())) {
    const QuantizedWeight weight = run.layer("moved", name);
    const DeviceLinear linear(DeviceWeight(pack_weight(weight), stand_in()), {}, DeviceArithmetic::kInt16);
    EXPECT_TRUE(linear.dense_weight().equal(weight.dequantize())) << name;
    const at::Tensor x = random_floats({3, linear.in_features()}, name);
    EXPECT_TRUE(linear.forward(x.to(stand_in()), false)
                    .cpu()
                    .equal(packed_linear(x, pack_weight(weight), {}, Arithmetic::kInt16)));
  }
}

TEST_F(PackedOnOtherDevice, CertifiesWhatLiesOnTheDevice) {
  QuantizedWeight weight = quantized(32, 96, 4, 32);
  for (const DeviceArithmetic arithmetic :
       {DeviceArithmetic::kInt8, DeviceArithmetic::kInt16, DeviceArithmetic::kBFloat16}) {
    const DeviceLinear linear(DeviceWeight(pack_weight(weight), stand_in()), {}, arithmetic);
    const Certificate certificate = linear.certify(weight);
    EXPECT_TRUE(certificate.holds()) << arithmetic_name(arithmetic) << ": " << certificate.worst_share << " on "
                                     << certificate.input;
    EXPECT_GT(certificate.outputs, 0);
    QuantizedWeight other = weight;
    other.codes = weight.codes.clone();
    other.codes[17][40] = (weight.codes[17][40].item<int>() + 1) % 16;
    const Certificate found = linear.certify(other);
    EXPECT_FALSE(found.holds()) << arithmetic_name(arithmetic);
    EXPECT_EQ(found.row, 17);
  }
}

TEST_F(PackedOnOtherDevice, RunsAWholeModel) {
  SmallRun run;
  run.quantize("[{head: {bits: 8}}, {rtn: {bits: 4, group: 16}}]", "int16");
  run.quantize("[{rtn: {bits: 8, group: -1}}, {activations: {bits: 8}}]", "int8");
  for (const auto& [artifact, kernel] : {std::pair("int16", "cuda: integers, two planes"),
                                         std::pair("int8", "cuda: integers up to 8 tokens, hopper (bytes)")}) {
    const auto model = open(run, artifact, Execution::kPacked, true);
    const at::Tensor expected = logits(*open(run, artifact, Execution::kPacked, false));
    // What is not a product is computed by other operators: float32 rounding, and an input that falls to the other
    // side.
    const double size = expected.abs().max().item<double>();
    EXPECT_LE(logits(*model).sub(expected).abs().max().item<double>(), size / 100) << artifact;
    const auto products = model->products();
    EXPECT_THAT(products, SizeIs(std::string(artifact) == "int16" ? 15 : 14));
    EXPECT_THAT(products,
                Each(AllOf(Field(&ProductRecord::packed, true), Field(&ProductRecord::arithmetic, artifact),
                           Field(&ProductRecord::kernels, kernel), Field(&ProductRecord::outputs, ::testing::Gt(0)))));
  }
  const auto model = open(run, "int16", Execution::kPacked, true, DType::kBFloat16);
  (void)logits(*model);
  EXPECT_THAT(model->products(), Each(Field(&ProductRecord::arithmetic, "bfloat16")));
}

std::vector<std::string> kernels_at(const DeviceWeight& weight, DeviceArithmetic arithmetic,
                                    const std::vector<std::int64_t>& counts) {
  std::vector<std::string> names;
  for (const std::int64_t tokens : counts) names.push_back(weight.kernel_name(arithmetic, tokens));
  return names;
}

TEST_F(PackedOnOtherDevice, ChoosesKernelsByTokens) {
  const DeviceWeight narrow(pack_weight(quantized(32, 96, 4, 32)), stand_in());
  EXPECT_EQ(narrow.kernel_names(DeviceArithmetic::kBFloat16),
            "cuda: skinny up to 16 tokens, hopper up to 128, hopper (rounded weights) up to 1536, expand + cuBLAS");
  EXPECT_THAT(kernels_at(narrow, DeviceArithmetic::kFloat8, {1, 16, 17, 128, 129, 1536, 1537}),
              ::testing::ElementsAre("cuda: skinny", "cuda: skinny", "cuda: hopper", "cuda: hopper",
                                     "cuda: hopper (rounded weights)", "cuda: hopper (rounded weights)",
                                     "cuda: expand + cuBLAS"));
  // Groups of whole chunks, and activations of so many columns that 64 tokens do not fit.
  EXPECT_EQ(DeviceWeight(pack_weight(quantized(32, 250, 4, 128)), stand_in()).kernel_names(DeviceArithmetic::kBFloat16),
            "cuda: skinny up to 8 tokens, hopper (slices) up to 64, hopper up to 128, hopper (rounded weights) up to "
            "1536, expand + cuBLAS");
  EXPECT_EQ(
      DeviceWeight(pack_weight(quantized(32, 12288, 4, 128)), stand_in()).kernel_names(DeviceArithmetic::kBFloat16),
      "cuda: skinny up to 8 tokens, hopper (slices) up to 32, hopper up to 128, hopper (rounded weights) up to 1536, "
      "expand + cuBLAS");
  // Groups are summed up one by one, and floats as integers of 16 bits have no library.
  EXPECT_EQ(narrow.kernel_names(DeviceArithmetic::kInt8), "cuda: integers");
  EXPECT_EQ(narrow.kernel_names(DeviceArithmetic::kInt16), "cuda: integers, two planes");
  const DeviceWeight wide(pack_weight(quantized(32, 96, 8, -1)), stand_in());
  EXPECT_THAT(kernels_at(wide, DeviceArithmetic::kInt8, {8, 9}),
              ::testing::ElementsAre("cuda: integers", "cuda: hopper (bytes)"));
  EXPECT_EQ(wide.kernel_names(DeviceArithmetic::kBFloat16), "cuda: skinny up to 64 tokens, expand + cuBLAS");
}

TEST_F(PackedOnOtherDevice, KeepsTheBitsOfIntegersWhereALibraryMultiplies) {
  const at::Tensor bias = random_floats({37}, "bias");
  const at::Tensor x = random_floats({65, 150}, "x");
  for (const int bits : {2, 3, 4, 8}) {
    for (const bool symmetric : {false, true}) {
      QuantizedWeight from = quantized(37, 150, bits, -1);
      if (symmetric) from = quantize_to_nearest(random_floats({37, 150}, "weight"), symmetric_rows(bits).spec());
      const kernels::PackedWeight packed = pack_weight(from);
      const DeviceWeight weight(packed, stand_in());
      const auto multiply = [&](DType type, DeviceRoutes routes) {
        return weight.multiply(to_dtype(x, type).to(stand_in()), bias.to(stand_in()), DeviceArithmetic::kInt8, type,
                               routes);
      };
      EXPECT_TRUE(multiply(DType::kFloat32, DeviceRoutes::kFastest)
                      .cpu()
                      .equal(packed_linear(x, packed, bias, Arithmetic::kInt8)))
          << bits << " bits";
      EXPECT_TRUE(multiply(DType::kBFloat16, DeviceRoutes::kFastest)
                      .cpu()
                      .equal(multiply(DType::kBFloat16, DeviceRoutes::kOne).cpu()));
    }
  }
}

// Rows are decoded a slice at a time, the last of which is ragged.
TEST_F(PackedOnOtherDevice, MultipliesInSlices) {
  const at::Tensor bias = random_floats({70}, "bias");
  const QuantizedWeight from = quantized(70, 150, 8, -1);
  const cuda::Packed packed = cuda::pack(pack_weight(from));
  const cuda::DeviceProduct product(cuda::Library::open(LOWBIT_EMULATED_CUDA), 0, packed);
  const at::Tensor x = random_floats({20, 150}, "x").to(stand_in());
  const at::Tensor there =
      tensor_of(std::span(reinterpret_cast<const float*>(packed.bytes.data()), packed.bytes.size() / 4)).to(stand_in());
  const auto* bytes = static_cast<const std::byte*>(there.const_data_ptr());
  const auto multiply = [&](std::int64_t slice_bytes, bool halves) {
    const at::Tensor input = halves ? to_dtype(x, DType::kBFloat16) : x;
    at::Tensor output = make_empty({20, 70}, DType::kFloat32).fill_(1e30).to(stand_in());
    const ExpandedProduct expanded(product, bytes, input, nullptr, slice_bytes);
    const at::Tensor offsets = bias.to(stand_in());
    halves ? expanded.multiply_halves(offsets, output) : expanded.multiply_bytes(offsets, output);
    return output.cpu();
  };
  for (const std::int64_t slice_bytes : {std::int64_t{1}, std::int64_t{8192}, std::int64_t{1} << 20}) {
    EXPECT_TRUE(multiply(slice_bytes, false).equal(packed_linear(x.cpu(), pack_weight(from), bias, Arithmetic::kInt8)));
    const at::Tensor weight = to_dtype(from.dequantize(), DType::kBFloat16).to(at::kDouble);
    const at::Tensor wide = to_dtype(x.cpu(), DType::kBFloat16).to(at::kDouble);
    const at::Tensor expected = wide.matmul(weight.t()).add(bias);
    const at::Tensor allowed = wide.abs().matmul(weight.abs().t()).add(bias.abs()).mul(151 * 0x1p-24);
    EXPECT_TRUE(multiply(slice_bytes, true).sub(expected).abs().le(allowed).all().item<bool>());
  }
}

TEST_F(PackedOnOtherDevice, KeepsOneKernelWhereTheBatchMustNotMatter) {
  const DeviceLinear linear(DeviceWeight(pack_weight(quantized(40, 160, 4, 32)), stand_in()), {},
                            DeviceArithmetic::kBFloat16);
  const at::Tensor x = to_dtype(random_floats({257, 160}, "x"), DType::kBFloat16).to(stand_in());
  const at::Tensor all = linear.forward(x, true).cpu();
  for (const std::int64_t token : {0, 256}) {
    EXPECT_TRUE(all.narrow(0, token, 1).equal(linear.forward(x.narrow(0, token, 1), true).cpu()));
  }
  EXPECT_FALSE(linear.forward(x, false).cpu().equal(all));
  EXPECT_EQ(linear.forward(x.narrow(0, 0, 0), false).sizes(), at::IntArrayRef({0, 40}));
}

// What a matrix unit may lose of 160 terms, the weight's rounding, and the result's.
TEST_F(PackedOnOtherDevice, EveryRouteIsNearTheDecodedWeight) {
  const at::Tensor bias = random_floats({40}, "bias");
  for (const GridOptions& grid : {GridOptions{.bits = 4, .group = 32}, GridOptions{.bits = 3, .group = 32},
                                  GridOptions::of(NumberFormat::kNf4), GridOptions::of(NumberFormat::kE4m3)}) {
    const QuantizedWeight from = quantize_to_nearest(random_floats({40, 160}, "weight"), grid.spec());
    const DeviceWeight weight(pack_weight(from), stand_in());
    const at::Tensor dense = from.dequantize().to(at::kDouble);
    for (const DeviceRoute& route : weight.routes(DeviceArithmetic::kBFloat16)) {
      const at::Tensor x = to_dtype(random_floats({route.tokens, 160}, "x"), DType::kBFloat16);
      const at::Tensor wide = x.to(at::kDouble);
      const at::Tensor expected = wide.matmul(dense.t()).add(to_dtype(bias, DType::kBFloat16));
      const at::Tensor found = weight.multiply(x.to(stand_in()), to_dtype(bias, DType::kBFloat16).to(stand_in()),
                                               DeviceArithmetic::kBFloat16, DType::kBFloat16);
      const double of_weight = route.rounds_weight ? 0x1p-8 : 0x1p-17;
      const at::Tensor allowed =
          wide.abs().matmul(dense.abs().t()).mul(of_weight + 4 * 180 * 0x1p-24).add(expected.abs().mul(0x1p-8));
      EXPECT_TRUE(found.cpu().to(at::kDouble).sub(expected).abs().le(allowed).all().item<bool>()) << route.kernel;
    }
  }
}

// Codes stand for numbers of a table: one operand each for FP8, two for NF4.
TEST_F(PackedOnOtherDevice, MultipliesByTables) {
  for (const NumberFormat format : {NumberFormat::kNf4, NumberFormat::kE4m3}) {
    QuantizedWeight weight = quantize_to_nearest(random_floats({40, 200}, "weight"), GridOptions::of(format).spec());
    const DeviceLinear linear(DeviceWeight(pack_weight(weight), stand_in()), {}, DeviceArithmetic::kBFloat16);
    EXPECT_TRUE(linear.dense_weight().equal(weight.dequantize()));
    const Certificate certificate = linear.certify(weight);
    EXPECT_TRUE(certificate.holds()) << certificate.worst_share << " on " << certificate.input;
    weight.scales = weight.scales.mul(1.01);
    EXPECT_FALSE(linear.certify(weight).holds());
  }
  // Columns for several blocks, and more tokens than one takes.
  const DeviceWeight wide(
      pack_weight(quantize_to_nearest(random_floats({40, 2100}, "wide"), GridOptions::of(NumberFormat::kNf4).spec())),
      stand_in());
  const at::Tensor x = to_dtype(random_floats({70, 2100}, "x"), DType::kBFloat16).to(stand_in());
  const auto multiply = [&](const at::Tensor& rows) {
    return wide.multiply(rows, {}, DeviceArithmetic::kBFloat16, DType::kFloat32, DeviceRoutes::kOne).cpu();
  };
  EXPECT_TRUE(multiply(x).narrow(0, 60, 3).equal(multiply(x.narrow(0, 60, 3))));
  SmallRun run;
  run.quantize("[{rtn: {format: nf4, group: 16}}]", "table");
  const auto model = open(run, "table", Execution::kPacked, true, DType::kBFloat16);
  const at::Tensor expected = logits(*open(run, "table", Execution::kSimulated, false));
  // bfloat16 keeps 8 bits: some roundings of 2^-9 of what passes a block of two.
  const double size = expected.pow(2).mean().sqrt().item<double>();
  EXPECT_LE(logits(*model).sub(expected).pow(2).mean().sqrt().item<double>(), 0.05 * size);
  EXPECT_THAT(model->products(),
              Each(AllOf(Field(&ProductRecord::packed, true), Field(&ProductRecord::arithmetic, "bfloat16"))));
}

TEST_F(PackedOnOtherDevice, SaysWhatItCannotRun) {
  SmallRun run;
  run.quantize("[{rtn: {format: nf4, group: 16}}]", "table");
  run.quantize("[{rtn: {bits: 4, group: 16}}, {activations: {bits: 4}}]", "around");
  const auto run_packed = [&](const std::string& artifact) {
    return error_text(ErrorCode::kUnsupported, [&] { (void)logits(*open(run, artifact, Execution::kPacked, true)); });
  };
  EXPECT_THAT(run_packed("table"),
              HasSubstr("cannot run packed: the weight has a table of numbers or real zero points"));
  EXPECT_THAT(run_packed("around"), HasSubstr("cannot run packed: inputs are mapped or rounded by 'int4"));
  for (const char* artifact : {"table", "around"}) {
    const auto model = open(run, artifact, Execution::kAuto, true);
    EXPECT_LE(logits(*model).sub(logits(*open(run, artifact, Execution::kSimulated, false))).abs().max().item<double>(),
              1e-1);
    EXPECT_THAT(model->products(), Each(Field(&ProductRecord::packed, false)));
  }
}

TEST_F(PackedOnOtherDevice, SaysThatItsKernelsAreMissing) {
  ::setenv("LOWBIT_CUDA_KERNELS", "/no/such/kernels.so", 1);
  const auto text =
      AllOf(HasSubstr("lowbit's CUDA kernels cannot be loaded (/no/such/kernels.so: "), HasSubstr("use 'cpu'"));
  EXPECT_THAT(error_text(ErrorCode::kDevice, [] { require_packed_products(stand_in()); }), text);
  require_packed_products(at::kCPU);
  SmallRun run;
  run.quantize("[{rtn: {bits: 4, group: 16}}]", "out");
  EXPECT_THAT(error_text(ErrorCode::kDevice, [&] { (void)logits(*open(run, "out", Execution::kPacked, true)); }), text);
  const auto model = open(run, "out", Execution::kAuto, true);
  (void)logits(*model);
  EXPECT_THAT(model->products(), Each(Field(&ProductRecord::reason, text)));
}

TEST_F(PackedOnOtherDevice, IsTimedBesideLibTorch) {
  GemmBenchOptions options;
  options.rows = 16;
  options.columns = 32;
  options.tokens = {65};  // so many that weights are not copied until they fill 256 MiB
  options.bits = {4};
  options.groups = {-1};
  options.repetitions = 3;
  options.device = stand_in();
  const GemmBench bench = run_gemm_bench(options, *silent_progress());
  std::vector<std::string> products;
  for (const GemmTiming& timing : bench.timings) {
    products.push_back(timing.name + "; " + timing.kernel);
    EXPECT_GT(timing.seconds.fastest, 0.0);
    EXPECT_EQ(timing.operations, 2.0 * 65 * 16 * 32);
  }
  EXPECT_THAT(products, ::testing::ElementsAre("LibTorch float32; ", "LibTorch bfloat16; ",
                                               "int8, 4 bits, one a row; cuda: expand + cuBLASLt",
                                               "int16, 4 bits, one a row; cuda: integers, two planes",
                                               "bfloat16, 4 bits, one a row; cuda: hopper"));
  EXPECT_EQ(bench.device, stand_in().str());
  EXPECT_GT(bench.cold_bandwidth, 0.0);
}

}  // namespace
}  // namespace lowbit
