#include "lowbit/model/weight_source.h"

#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"
#include "model/artifact_source.h"
#include "model/config_keys.h"
#include "model/gguf_source.h"
#include "model/safetensors_source.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 24;

bool holds_quantized_weights(const fs::path& config) {
  const Json json = parse_json(read_file(config, kMaxConfigBytes), config.string());
  return ConfigKeys(json, config.string()).find("quantization_config") != nullptr;
}

}  // namespace

std::shared_ptr<const WeightSource> open_weights(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const fs::path config = path / "config.json";
    if (!fs::exists(config, error)) {
      fail(ErrorCode::kData, "{}: the folder has no config.json, expected a model in Hugging Face's layout",
           path.string());
    }
    return holds_quantized_weights(config) ? open_artifact(path) : open_safetensors_folder_source(path);
  }
  if (!fs::exists(path, error)) fail(ErrorCode::kData, "{}: there is no such model file or folder", path.string());
  if (path.extension() == ".safetensors") {
    fail(ErrorCode::kData, "{}: a safetensors file does not describe its model; give the folder with its config.json",
         path.string());
  }
  return open_gguf_source(path);
}

}  // namespace lowbit
