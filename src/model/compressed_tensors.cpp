#include "model/compressed_tensors.h"

#include <algorithm>
#include <array>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr std::array<CodeLayout, 4> kLayouts = {CodeLayout::kPacked, CodeLayout::kFloat8, CodeLayout::kNvfp4,
                                                CodeLayout::kMxfp4};

constexpr std::string_view kMixed = "mixed-precision";

Json weights_json(const PackedScheme& scheme) {
  const char* strategy = scheme.layout == CodeLayout::kNvfp4 ? "tensor_group"
                         : scheme.group > 0                  ? "group"
                         : scheme.group == 0                 ? "tensor"
                                                             : "channel";
  Json weights = {{"num_bits", scheme.bits},
                  {"type", scheme.layout == CodeLayout::kPacked ? "int" : "float"},
                  {"symmetric", scheme.symmetric},
                  {"strategy", strategy},
                  {"group_size", scheme.group > 0 ? Json(scheme.group) : Json()},
                  {"dynamic", false}};
  if (scheme.layout == CodeLayout::kNvfp4) weights["scale_dtype"] = "torch.float8_e4m3fn";
  if (scheme.layout == CodeLayout::kMxfp4) weights["scale_dtype"] = "torch.uint8";
  return weights;
}

CodeLayout layout_named(const std::string& format) {
  for (const CodeLayout layout : kLayouts) {
    if (code_layout_name(layout) == format) return layout;
  }
  fail(ErrorCode::kUnsupported,
       "format '{}', expected 'pack-quantized', 'float-quantized', 'nvfp4-pack-quantized' or 'mxfp4-pack-quantized'",
       format);
}

// What the floating-point formats leave no choice in.
void check_float_scheme(const PackedScheme& scheme) {
  const bool float8 = scheme.layout == CodeLayout::kFloat8;
  const std::int64_t group = scheme.layout == CodeLayout::kNvfp4 ? 16 : 32;
  if (scheme.bits != (float8 ? 8 : 4) || !scheme.symmetric || (float8 ? scheme.group > 0 : scheme.group != group)) {
    fail(ErrorCode::kUnsupported, "format '{}' with {} bits, {}, group {}", code_layout_name(scheme.layout),
         scheme.bits, scheme.symmetric ? "symmetric" : "asymmetric", scheme.group);
  }
}

Json input_json(const std::optional<ActivationScheme>& scheme) {
  if (!scheme) return {};
  using Per = ActivationScheme::Per;
  const char* strategy = scheme->per == Per::kToken ? "token" : scheme->per == Per::kTensor ? "tensor" : "group";
  return {{"num_bits", scheme->bits},
          {"type", scheme->type == ActivationScheme::Type::kInteger ? "int" : "float"},
          {"symmetric", scheme->symmetry != Symmetry::kAsymmetric},
          {"strategy", strategy},
          {"group_size", scheme->per == Per::kGroup ? Json(scheme->group) : Json()},
          {"dynamic", scheme->per != Per::kTensor}};
}

const Json* find_value(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_of(const Json& object, const char* key, const std::string& fallback) {
  const Json* value = find_value(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) fail(ErrorCode::kData, "'{}' is {}, expected a string", key, value->dump());
  return value->get<std::string>();
}

std::int64_t integer_of(const Json& object, const char* key, std::int64_t fallback) {
  const Json* value = find_value(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) fail(ErrorCode::kData, "'{}' is {}, expected a whole number", key, value->dump());
  return value->get<std::int64_t>();
}

bool flag_of(const Json& object, const char* key, bool fallback) {
  const Json* value = find_value(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(ErrorCode::kData, "'{}' is {}, expected true or false", key, value->dump());
  return value->get<bool>();
}

// Rounding of inputs that does not depend on what else is in the batch.
ActivationScheme read_input(const Json& input) {
  using Per = ActivationScheme::Per;
  ActivationScheme scheme;
  const std::string type = text_of(input, "type", "int");
  const std::int64_t bits = integer_of(input, "num_bits", 8);
  const bool is_float = type == "float" && bits == 8;
  if (!is_float && (type != "int" || bits < 2 || bits > 8)) {
    fail(ErrorCode::kUnsupported, "inputs of type '{}' with {} bits, expected 'int' of 2 to 8 or 'float' of 8", type,
         bits);
  }
  scheme.type = is_float ? ActivationScheme::Type::kFloat8 : ActivationScheme::Type::kInteger;
  scheme.bits = static_cast<int>(bits);
  scheme.symmetry = flag_of(input, "symmetric", true) ? Symmetry::kSymOffset : Symmetry::kAsymmetric;
  const bool dynamic = flag_of(input, "dynamic", false);
  const std::string strategy = text_of(input, "strategy", "tensor");
  const std::int64_t size = integer_of(input, "group_size", 0);
  if (strategy == "token" && dynamic) {
    scheme.per = Per::kToken;
  } else if (strategy == "group" && dynamic && size > 0) {
    scheme.per = Per::kGroup;
    scheme.group = size;
  } else if (strategy == "tensor" && !dynamic) {
    scheme.per = Per::kTensor;
  } else {
    fail(ErrorCode::kUnsupported,
         "inputs with strategy '{}' and 'dynamic: {}', expected dynamic ranges per 'token' or 'group', or a static one "
         "per "
         "'tensor'",
         strategy, dynamic);
  }
  return scheme;
}

PackedScheme read_scheme(const Json& group, CodeLayout layout) {
  if (find_value(group, "output_activations") != nullptr) {
    fail(ErrorCode::kUnsupported,
         "'output_activations' are quantized, and lowbit reads quantized weights and inputs only");
  }
  const Json* weights = find_value(group, "weights");
  if (weights == nullptr) fail(ErrorCode::kData, "the group has no 'weights'");
  const std::string type = text_of(*weights, "type", "int");
  const char* expected = layout == CodeLayout::kPacked ? "int" : "float";
  if (type != expected) fail(ErrorCode::kUnsupported, "weights of type '{}', expected '{}'", type, expected);
  PackedScheme scheme;
  scheme.layout = layout;
  const std::int64_t bits = integer_of(*weights, "num_bits", 8);
  if (bits < 2 || bits > 8) fail(ErrorCode::kUnsupported, "weights of {} bits, expected 2 to 8", bits);
  scheme.bits = static_cast<int>(bits);
  scheme.symmetric = flag_of(*weights, "symmetric", true);
  const std::int64_t size = integer_of(*weights, "group_size", 0);
  const std::string strategy = text_of(*weights, "strategy", size > 0 ? "group" : size == -1 ? "channel" : "tensor");
  if (strategy == "group" || (strategy == "tensor_group" && layout == CodeLayout::kNvfp4)) {
    if (size < 1) fail(ErrorCode::kData, "strategy 'group' with 'group_size' {}", size);
    scheme.group = size;
  } else if (strategy == "channel" || strategy == "tensor") {
    scheme.group = strategy == "channel" ? -1 : 0;
  } else {
    fail(ErrorCode::kUnsupported, "strategy '{}', expected 'group', 'channel' or 'tensor'", strategy);
  }
  if (layout != CodeLayout::kPacked) check_float_scheme(scheme);
  if (const Json* input = find_value(group, "input_activations")) {
    scheme.input = with_context("input_activations", [&] { return read_input(*input); });
  }
  return scheme;
}

}  // namespace

Json compressed_tensors_config(const std::vector<SchemeOfLinear>& linears, const std::vector<std::string>& plain) {
  std::vector<std::pair<PackedScheme, Json>> groups;
  for (const SchemeOfLinear& linear : linears) {
    auto found =
        std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.first == linear.scheme; });
    if (found == groups.end()) found = groups.insert(groups.end(), {linear.scheme, Json::array()});
    found->second.push_back(linear.linear);
  }
  Json config_groups = Json::object();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    // A single scheme is said of the class, the spelling that every reader knows.
    const Json targets = groups.size() == 1 ? Json::array({"Linear"}) : groups[i].second;
    config_groups[fmt::format("group_{}", i)] = {{"targets", targets},
                                                 {"weights", weights_json(groups[i].first)},
                                                 {"input_activations", input_json(groups[i].first.input)},
                                                 {"output_activations", Json()},
                                                 {"format", code_layout_name(groups[i].first.layout)}};
  }
  const bool mixed = std::any_of(groups.begin(), groups.end(),
                                 [&](const auto& group) { return group.first.layout != groups.front().first.layout; });
  const std::string_view format = groups.empty() ? "pack-quantized"
                                  : mixed        ? kMixed
                                                 : code_layout_name(groups.front().first.layout);
  Json ignore = plain;
  const bool quantized_head =
      std::any_of(linears.begin(), linears.end(), [](const auto& linear) { return linear.linear == "lm_head"; });
  if (!quantized_head && std::find(plain.begin(), plain.end(), "lm_head") == plain.end()) ignore.push_back("lm_head");
  return {{"quant_method", "compressed-tensors"}, {"format", format}, {"quantization_status", "compressed"},
          {"config_groups", config_groups},       {"ignore", ignore}, {"kv_cache_scheme", Json()},
          {"global_compression_ratio", Json()}};
}

CompressedTensorsConfig::CompressedTensorsConfig(const Json& config, const std::string& origin) : origin_(origin) {
  with_context(origin + ": quantization_config", [&] {
    format_ = text_of(config, "format", "");
    if (format_ != kMixed) (void)layout_named(format_);
    if (find_value(config, "kv_cache_scheme") != nullptr) {
      fail(ErrorCode::kUnsupported, "'kv_cache_scheme' is set, and lowbit reads quantized weights and inputs only");
    }
    const Json* groups = find_value(config, "config_groups");
    if (groups == nullptr || !groups->is_object())
      fail(ErrorCode::kData, "'config_groups' is missing or not an object");
    for (const auto& item : groups->items()) {
      const Json& group = item.value();
      with_context(item.key(), [&] {
        Group read{{}, {}, read_scheme(group, layout_named(text_of(group, "format", format_)))};
        const Json* targets = find_value(group, "targets");
        if (targets == nullptr || !targets->is_array()) fail(ErrorCode::kData, "'targets' is missing or not a list");
        for (const Json& target : *targets) {
          if (!target.is_string()) fail(ErrorCode::kData, "target {} is not a string", target.dump());
          const auto text = target.get<std::string>();
          if (text.starts_with("re:")) {
            read.patterns.emplace_back(text.substr(3), "targets");
          } else {
            read.names.push_back(text);
          }
        }
        groups_.push_back(std::move(read));
      });
    }
  });
}

const PackedScheme& CompressedTensorsConfig::scheme_of(const std::string& linear) const {
  for (const Group& group : groups_) {
    if (std::find(group.names.begin(), group.names.end(), linear) != group.names.end()) return group.scheme;
    for (const Regex& pattern : group.patterns) {
      std::vector<Range> matches;
      pattern.find_all(linear, matches);
      if (!matches.empty() && matches.front().begin == 0) return group.scheme;
    }
  }
  for (const Group& group : groups_) {
    if (std::find(group.names.begin(), group.names.end(), "Linear") != group.names.end()) return group.scheme;
  }
  fail(ErrorCode::kData, "{}: no group of quantization_config names '{}', which is stored packed", origin_, linear);
}

}  // namespace lowbit
