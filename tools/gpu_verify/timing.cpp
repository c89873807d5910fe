#include "timing.h"

#include <algorithm>

namespace lowbit::gpu_verify {

std::vector<double> timed(const Graph& graph, const Settings& settings, int parts) {
  std::vector<double> microseconds;
  (void)graph.milliseconds();  // warms up
  for (int i = 0; i < settings.repetitions; ++i) microseconds.push_back(graph.milliseconds() * 1e3 / parts);
  return microseconds;
}

double copy_rate(const Gpu& gpu, const Settings& settings) {
  const std::size_t bytes = settings.tiny ? std::size_t{1} << 16 : std::size_t{1} << 28;
  const Buffer<std::uint8_t> from(gpu, bytes);
  const Buffer<std::uint8_t> to(gpu, bytes);
  const Graph graph(gpu, [&] {
    cuda::Library::call("copying", gpu.table().copy_within, to.data(), from.data(), bytes, gpu.stream());
  });
  const std::vector<double> microseconds = timed(graph, settings);
  return 2.0 * static_cast<double>(bytes) / *std::ranges::min_element(microseconds) / 1e3;
}

void write_times(std::vector<double> microseconds, double bytes, double copy_rate, Record record, Results& results) {
  std::ranges::sort(microseconds);
  const double median = microseconds[microseconds.size() / 2];
  const double rate = bytes / median / 1e3;
  results.write(record.number("median_us", median)
                    .number("least_us", microseconds.front())
                    .number("most_us", microseconds.back())
                    .number("repetitions", static_cast<double>(microseconds.size()))
                    .number("gb_per_s", rate)
                    .number("share_of_copy", rate / copy_rate));
}

}  // namespace lowbit::gpu_verify
