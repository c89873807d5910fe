#include "step_reference.h"

#include <algorithm>
#include <cmath>

namespace lowbit::gpu_verify {

namespace {

double wide(std::uint16_t number) { return static_cast<double>(bfloat16_to_float(number)); }

}  // namespace

StepReference::StepReference(const StepModel& model, std::vector<Weights> weights)
    : model_(model), weights_(std::move(weights)) {}

StepReference::Row StepReference::norm(const Row& x, const std::vector<std::uint16_t>& weight) const {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double size = static_cast<double>(x.size());
  const double scale = 1 / std::sqrt(squares / size + static_cast<double>(model_.description.shape.epsilon));
  Row result;
  for (std::size_t i = 0; i < x.size(); ++i) result.push_back(x[i] * scale * wide(weight[i]));
  return result;
}

StepReference::Row StepReference::multiply(std::size_t block, std::size_t product, Row x) const {
  if (model_.description.weights.rounds) {
    double largest = 0;
    for (const double value : x) largest = std::max(largest, std::fabs(value));
    for (double& value : x) value = std::nearbyint(value / (largest / 127)) * (largest / 127);
  }
  const UnpackedWeight& weight = *weights_[block][product];
  const std::vector<float>& bias = model_.numbers[block].biases[product];
  Row result;
  for (std::int64_t r = 0; r < weight.shape.rows; ++r) {
    double sum = bias.empty() ? 0.0 : static_cast<double>(bias[static_cast<std::size_t>(r)]);
    for (std::int64_t k = 0; k < weight.shape.columns; ++k) {
      const auto at = static_cast<std::size_t>(r * weight.shape.groups + k / weight.shape.group);
      const double code = weight.codes[static_cast<std::size_t>(r * weight.shape.columns + k)];
      sum += (code - static_cast<double>(weight.zeros[at])) * static_cast<double>(weight.scales[at]) *
             x[static_cast<std::size_t>(k)];
    }
    result.push_back(sum);
  }
  return result;
}

void StepReference::turn(Row& heads) const {
  const auto width = static_cast<std::size_t>(model_.description.shape.head_dim);
  const std::size_t place = static_cast<std::size_t>(model_.description.position) * width;
  for (std::size_t head = 0; head < heads.size(); head += width) {
    for (std::size_t i = 0; i < width / 2; ++i) {
      const double first = heads[head + i];
      const double second = heads[head + i + width / 2];
      const double cos = static_cast<double>(model_.cos[place + i]);
      const double sin = static_cast<double>(model_.sin[place + i]);
      heads[head + i] = first * cos - second * sin;
      heads[head + i + width / 2] = second * cos + first * sin;
    }
  }
}

StepReference::Row StepReference::attend(std::size_t block, int sequence, const Row& queries, const Row& keys,
                                         const Row& values) const {
  const cuda::StepShape& shape = model_.description.shape;
  const int position = model_.description.position;
  const auto width = static_cast<std::size_t>(shape.head_dim);
  const int first = shape.window > 0 ? std::max(0, position + 1 - shape.window) : 0;
  Row result;
  for (int head = 0; head < shape.heads; ++head) {
    const int kv_head = head / (shape.heads / shape.kv_heads);
    const auto number = [&](const std::vector<std::uint16_t>& cache, const Row& newest, int token, std::size_t c) {
      if (token == position) return newest[static_cast<std::size_t>(kv_head) * width + c];
      const int row = (sequence * shape.kv_heads + kv_head) * shape.capacity + token;
      return wide(cache[static_cast<std::size_t>(row) * width + c]);
    };
    Row weights;
    for (int token = first; token <= position; ++token) {
      double score = 0;
      for (std::size_t c = 0; c < width; ++c) {
        score +=
            queries[static_cast<std::size_t>(head) * width + c] * number(model_.numbers[block].keys, keys, token, c);
      }
      weights.push_back(score / std::sqrt(static_cast<double>(width)));
    }
    const double top = *std::ranges::max_element(weights);
    double total = 0;
    for (double& weight : weights) total += weight = std::exp(weight - top);
    for (std::size_t c = 0; c < width; ++c) {
      double sum = 0;
      for (int token = first; token <= position; ++token) {
        sum +=
            weights[static_cast<std::size_t>(token - first)] * number(model_.numbers[block].values, values, token, c);
      }
      result.push_back(sum / total);
    }
  }
  return result;
}

void StepReference::read_block(std::size_t block, int sequence, Row& x) const {
  const Row input = norm(x, model_.numbers[block].input_norm);
  Row queries = multiply(block, 0, input);
  Row keys = multiply(block, 1, input);
  turn(queries);
  turn(keys);
  const Row heads = attend(block, sequence, queries, keys, multiply(block, 2, input));
  const Row attended = multiply(block, 3, heads);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += attended[i];
  const Row middle = norm(x, model_.numbers[block].mlp_norm);
  Row gate = multiply(block, 4, middle);
  const Row up = multiply(block, 5, middle);
  for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  const Row down = multiply(block, 6, gate);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += down[i];
}

std::vector<double> StepReference::normalised() const {
  const auto width = static_cast<std::size_t>(model_.description.shape.hidden);
  std::vector<double> result;
  for (int sequence = 0; sequence < model_.description.shape.sequences; ++sequence) {
    Row x;
    for (std::size_t i = 0; i < width; ++i) {
      x.push_back(wide(model_.embeddings[static_cast<std::size_t>(sequence) * width + i]));
    }
    for (std::size_t block = 0; block < weights_.size(); ++block) read_block(block, sequence, x);
    const Row row = norm(x, model_.final_norm);
    result.insert(result.end(), row.begin(), row.end());
  }
  return result;
}

}  // namespace lowbit::gpu_verify
