#include "evaluation/score_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <string>
#include <system_error>

#include "lowbit/base/error.h"
#include "lowbit/base/files.h"

namespace lowbit {
namespace {

using Bytes = std::vector<std::byte>;

// A file is: kMagic, the hash of the pass, records. A record is: request, number of targets, bytes observed, bytes of
// the caches (64 bits each), the log-likelihoods (float64), a byte a target (was it the argmax), what was observed, the
// hash of all that.
constexpr std::string_view kMagic = "lowbit scores 2\n";

template <typename T>
void put(Bytes& bytes, const T* values, std::size_t count) {
  const auto* begin = reinterpret_cast<const std::byte*>(values);
  bytes.insert(bytes.end(), begin, begin + count * sizeof(T));
}

void put(Bytes& bytes, std::uint64_t value) { put(bytes, &value, 1); }
void put(Bytes& bytes, const Hash& hash) {
  put(bytes, hash.low);
  put(bytes, hash.high);
}

Bytes header_of(const Hash& pass) {
  Bytes bytes;
  put(bytes, kMagic.data(), kMagic.size());
  put(bytes, pass);
  return bytes;
}

// Takes values from the front; nothing once the bytes are used up.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}
  std::optional<std::span<const std::byte>> take(std::uint64_t size) {
    if (size > rest_.size()) return std::nullopt;
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  std::optional<std::uint64_t> number() {
    const auto bytes = take(sizeof(std::uint64_t));
    if (!bytes) return std::nullopt;
    std::uint64_t value = 0;
    std::memcpy(&value, bytes->data(), sizeof value);
    return value;
  }
  [[nodiscard]] std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
};

struct NumberedRecord {
  std::size_t request = 0;
  ScoreJournal::Record record;
};

std::optional<NumberedRecord> read_record(Reader& reader, std::span<const std::byte> bytes) {
  const std::size_t begin = bytes.size() - reader.left();
  const auto request = reader.number();
  const auto targets = reader.number();
  const auto observed_size = reader.number();
  const auto cache_bytes = reader.number();
  if (!cache_bytes || *targets > reader.left() / (sizeof(double) + 1)) return std::nullopt;
  const auto likelihoods = reader.take(*targets * sizeof(double));
  const auto greedy = reader.take(*targets);
  const auto observed = reader.take(*observed_size);
  const std::size_t end = bytes.size() - reader.left();
  const auto low = reader.number();
  const auto high = reader.number();
  if (!observed || !high || hash_of(bytes.subspan(begin, end - begin)) != Hash{*low, *high}) return std::nullopt;
  NumberedRecord result{.request = *request, .record = {}};
  result.record.score.cache_bytes = static_cast<std::int64_t>(*cache_bytes);
  result.record.score.log_likelihood.resize(*targets);
  std::memcpy(result.record.score.log_likelihood.data(), likelihoods->data(), likelihoods->size());
  for (const std::byte flag : *greedy) result.record.score.greedy.push_back(flag != std::byte{0});
  result.record.observed.assign(observed->begin(), observed->end());
  return result;
}

}  // namespace

ScoreJournal::ScoreJournal(const std::filesystem::path& file, const Hash& pass) : path_(file) {
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    fail(ErrorCode::kIo, "cannot write '{}': {}", file.string(), std::system_category().message(errno));
  }
  const Bytes header = header_of(pass);
  std::size_t whole = 0;
  {
    const auto mapped = MappedFile::open(file);
    const std::span<const std::byte> bytes = mapped->bytes();
    Reader reader(bytes);
    const auto found = reader.take(header.size());
    if (found && std::equal(found->begin(), found->end(), header.begin())) {
      whole = header.size();
      while (std::optional<NumberedRecord> next = read_record(reader, bytes)) {
        records_.insert_or_assign(next->request, std::move(next->record));
        whole = bytes.size() - reader.left();
      }
    }
  }
  if (::ftruncate(descriptor_, static_cast<off_t>(whole)) != 0) {
    fail(ErrorCode::kIo, "cannot write '{}': {}", file.string(), std::system_category().message(errno));
  }
  if (whole == 0) append(header);
}

ScoreJournal::~ScoreJournal() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ScoreJournal::add(std::size_t request, const Score& score, std::span<const std::byte> observed) {
  Bytes bytes;
  put(bytes, request);
  put(bytes, score.log_likelihood.size());
  put(bytes, observed.size());
  put(bytes, static_cast<std::uint64_t>(score.cache_bytes));
  put(bytes, score.log_likelihood.data(), score.log_likelihood.size());
  for (const bool greedy : score.greedy) bytes.push_back(std::byte{greedy});
  put(bytes, observed.data(), observed.size());
  put(bytes, hash_of(std::span<const std::byte>(bytes)));
  append(bytes);
}

void ScoreJournal::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail(ErrorCode::kIo, "cannot write '{}': {}", path_.string(), std::system_category().message(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

}  // namespace lowbit
