#include "cublaslt.h"

#include <dlfcn.h>

#include <filesystem>

#include "lowbit/base/error.h"

namespace lowbit::gpu_verify {

namespace {

// Of cublasLt.h, cublas_api.h and library_types.h; their numbers are part of the library's interface.
constexpr int kTranspose = 1;
constexpr int kTransposeFirst = 3;
constexpr int kScalesOfWeight = 17;
constexpr int kScalesOfInput = 18;
constexpr int kScaleModeOfWeight = 31;
constexpr int kScaleModeOfInput = 32;
constexpr std::int32_t kScaleOfEachRow = 3;
constexpr int kMostWorkspace = 1;
constexpr int kSumFloat32 = 68;
constexpr int kSumInt32 = 72;
enum Type { kTypeFloat32 = 0, kTypeInt8 = 3, kTypeInt32 = 10, kTypeBFloat16 = 14, kTypeE4m3 = 28 };
constexpr int kMostCandidates = 8;
constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;

struct Candidate {
  std::uint64_t algorithm[8];
  std::size_t workspace;
  int status;
  float waves;
  int reserved[4];
};
static_assert(sizeof(Candidate) == 96);

void check(int status, const char* what) {
  if (status != 0) fail(ErrorCode::kDevice, "cuBLASLt failed with status {} while {}", status, what);
}

std::string path_beside(const std::string& cublas) {
  const std::filesystem::path path = cublas;
  const std::string prefix = "libcublas";
  const std::string name = path.filename().string();
  if (!name.starts_with(prefix)) {
    fail(ErrorCode::kDevice, "--cublas: '{}' is no name of cuBLAS, and cuBLASLt cannot be found beside it", name);
  }
  return (path.parent_path() / (prefix + "Lt" + name.substr(prefix.size()))).string();
}

template <typename Function>
void find(void* library, const char* name, Function*& target) {
  target = reinterpret_cast<Function*>(::dlsym(library, name));
  if (target == nullptr) fail(ErrorCode::kDevice, "cuBLASLt has no '{}'", name);
}

}  // namespace

struct CublasLt::Functions {
  explicit Functions(const std::string& path) {
    void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) fail(ErrorCode::kDevice, "cuBLASLt: '{}' cannot be loaded ({})", path, ::dlerror());
    find(library, "cublasLtCreate", create);
    find(library, "cublasLtDestroy", destroy);
    find(library, "cublasLtMatmulDescCreate", create_product);
    find(library, "cublasLtMatmulDescSetAttribute", set_product);
    find(library, "cublasLtMatmulDescDestroy", destroy_product);
    find(library, "cublasLtMatrixLayoutCreate", create_layout);
    find(library, "cublasLtMatrixLayoutDestroy", destroy_layout);
    find(library, "cublasLtMatmulPreferenceCreate", create_preference);
    find(library, "cublasLtMatmulPreferenceSetAttribute", set_preference);
    find(library, "cublasLtMatmulPreferenceDestroy", destroy_preference);
    find(library, "cublasLtMatmulAlgoGetHeuristic", offer);
    find(library, "cublasLtMatmul", multiply);
  }
  int (*create)(void**);
  int (*destroy)(void*);
  int (*create_product)(void**, int, int);
  int (*set_product)(void*, int, const void*, std::size_t);
  int (*destroy_product)(void*);
  int (*create_layout)(void**, int, std::uint64_t, std::uint64_t, std::int64_t);
  int (*destroy_layout)(void*);
  int (*create_preference)(void**);
  int (*set_preference)(void*, int, const void*, std::size_t);
  int (*destroy_preference)(void*);
  int (*offer)(void*, void*, void*, void*, void*, void*, void*, int, Candidate*, int*);
  int (*multiply)(void*, void*, const void*, const void*, void*, const void*, void*, const void*, const void*, void*,
                  void*, void*, const void*, void*, std::size_t, void*);
};

namespace {

// Matrices by columns: the weight lies there as [columns, rows], and is transposed.
class ShapePlan : public CublasLt::Plan {
 public:
  ShapePlan(const Gpu& gpu, const CublasLt::Functions& functions, void* handle, LtKind kind, std::int64_t rows,
            std::int64_t columns, int tokens)
      : gpu_(gpu),
        functions_(functions),
        handle_(handle),
        bytes_(kind == LtKind::kInt8),
        scales_(gpu, std::vector<float>(static_cast<std::size_t>(rows) + static_cast<std::size_t>(tokens), 1.0F)),
        workspace_(gpu, kWorkspaceBytes) {
    const int input = bytes_ ? kTypeInt8 : kTypeE4m3;
    const int output = bytes_ ? kTypeInt32 : kTypeBFloat16;
    check(functions_.create_product(&product_, bytes_ ? kSumInt32 : kSumFloat32, bytes_ ? kTypeInt32 : kTypeFloat32),
          "describing a product");
    set(kTransposeFirst, kTranspose);
    if (kind == LtKind::kFp8Rows) {
      set(kScaleModeOfWeight, kScaleOfEachRow);
      set(kScaleModeOfInput, kScaleOfEachRow);
      set(kScalesOfWeight, scales_.data());
      set(kScalesOfInput, scales_.data() + rows);
    }
    const auto layout = [&](void*& result, int type, std::int64_t height, std::int64_t width) {
      check(functions_.create_layout(&result, type, static_cast<std::uint64_t>(height),
                                     static_cast<std::uint64_t>(width), height),
            "describing a matrix");
    };
    layout(weight_, input, columns, rows);
    layout(input_, input, columns, tokens);
    layout(output_, output, rows, tokens);
    choose();
  }
  ~ShapePlan() override {
    (void)functions_.destroy_product(product_);
    for (void* layout : {weight_, input_, output_}) (void)functions_.destroy_layout(layout);
  }
  ShapePlan(const ShapePlan&) = delete;
  ShapePlan& operator=(const ShapePlan&) = delete;

  [[nodiscard]] int candidates() const override { return count_; }
  void multiply(int candidate, const void* weight, const void* input, void* output) const override {
    const float one = 1.0F;
    const float zero = 0.0F;
    const std::int32_t whole_one = 1;
    const std::int32_t whole_zero = 0;
    check(functions_.multiply(handle_, product_, bytes_ ? static_cast<const void*>(&whole_one) : &one, weight, weight_,
                              input, input_, bytes_ ? static_cast<const void*>(&whole_zero) : &zero, output, output_,
                              output, output_, candidates_[candidate].algorithm, workspace_.data(), kWorkspaceBytes,
                              gpu_.stream()),
          "multiplying");
  }

 private:
  template <typename T>
  void set(int attribute, const T& value) {
    check(functions_.set_product(product_, attribute, &value, sizeof value), "describing a product");
  }

  void choose() {
    void* preference = nullptr;
    check(functions_.create_preference(&preference), "asking for algorithms");
    check(functions_.set_preference(preference, kMostWorkspace, &kWorkspaceBytes, sizeof kWorkspaceBytes),
          "asking for algorithms");
    const int status = functions_.offer(handle_, product_, weight_, input_, output_, output_, preference,
                                        kMostCandidates, candidates_, &count_);
    (void)functions_.destroy_preference(preference);
    if (status != 0 || count_ == 0) fail(ErrorCode::kDevice, "cuBLASLt offers no algorithm (status {})", status);
  }

  const Gpu& gpu_;
  const CublasLt::Functions& functions_;
  void* handle_;
  bool bytes_;
  Buffer<float> scales_;  ///< of the weight's rows, then of the tokens
  Buffer<std::uint8_t> workspace_;
  void* product_ = nullptr;
  void* weight_ = nullptr;
  void* input_ = nullptr;
  void* output_ = nullptr;
  Candidate candidates_[kMostCandidates] = {};
  int count_ = 0;
};

}  // namespace

CublasLt::CublasLt(const Gpu& gpu, const std::string& cublas)
    : gpu_(gpu), functions_(std::make_unique<Functions>(path_beside(cublas))) {
  check(functions_->create(&handle_), "starting");
}

CublasLt::~CublasLt() {
  if (handle_ != nullptr) (void)functions_->destroy(handle_);
}

std::unique_ptr<CublasLt::Plan> CublasLt::plan(LtKind kind, std::int64_t rows, std::int64_t columns, int tokens) const {
  return std::make_unique<ShapePlan>(gpu_, *functions_, handle_, kind, rows, columns, tokens);
}

}  // namespace lowbit::gpu_verify
