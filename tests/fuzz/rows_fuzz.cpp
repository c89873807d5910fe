// Rows of datasets as files hold them: JSON, lines of JSON, tables, blocks of lines, tagged words, packed or not. The
// first byte of an input says which.
#include <array>

#include "data/rows.h"
#include "data/unpack.h"
#include "fuzz/fuzz.h"
#include "lowbit/data/dataset.h"

namespace lowbit::fuzzing {
namespace {

constexpr std::array kReaders = {RowReader::kJson, RowReader::kJsonl,  RowReader::kCsv,
                                 RowReader::kTsv,  RowReader::kBlocks, RowReader::kConll};
constexpr std::array kPackings = {".gz", ".bz2", ".zst"};
constexpr std::uint64_t kLimit = std::uint64_t{1} << 16;

void check(const Rows& rows) {
  for (const Row& row : rows.rows) {
    if (!row.columns.is_object() || row.where.empty()) report("a row without columns or place");
    (void)row.columns.dump();  // throws for text that is not UTF-8
  }
}

void read(std::string_view input) {
  if (input.empty()) return;
  const auto form = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  DatasetDefinition definition;
  definition.name = "fuzzed";
  const std::size_t forms = kReaders.size() + kPackings.size();
  if (form % forms >= kReaders.size()) {
    const std::string text = unpack(kPackings[form % forms - kReaders.size()], input, "packed", kLimit);
    definition.reader = RowReader::kJsonl;
    check(read_rows(definition, text, "packed"));
    return;
  }
  definition.reader = kReaders[form % forms];
  if (definition.reader == RowReader::kJson) definition.rows = form / forms % 2 == 0 ? "data.items" : "";
  if (definition.reader == RowReader::kBlocks) definition.header = {"a", "b"};
  check(read_rows(definition, input, "file"));
}

std::vector<std::string> seeds() {
  using namespace std::string_literals;
  return {
      "\0{\"data\": [{\"title\": \"t\", \"items\": [{\"q\": \"x\", \"n\": [1, 2.5, null, true]}, {\"q\": \"y\"}]}]}"s,
      "\x09[{\"a\": 1}, {\"a\": \"\\u00e9\"}]", "\x01{\"a\": \"b\"}\n\n{\"c\": [1]}\r\n[2]\n",
      "\x02"
      "a,b\n1,\"x, \"\"y\"\"\nz\"\n2,3\n",
      "\x03"
      "a\tb\n1\t2\n",
      "\x04"
      "one\ntwo\n\nthree\nfour\n",
      "\x05"
      "Ann\tB-person\nLee\tI-person\nin\tO\n\n-DOCSTART- O\n\nRome I-location\n",
      // `{"a":1}` and a line feed, by gzip and zstd.
      "\x06\x1f\x8b\x08\0\0\0\0\0\x02\x03\xab\x56\x4a\x54\xb2\x32\xac\xe5\x02\0\x46\xa3\xe8\x74\x08\0\0\0"s,
      "\x08\x28\xb5\x2f\xfd\x04\x58\x41\0\0{\"a\":1}\n"s};
}

}  // namespace

const Target& target() {
  static const Target result = {.read = read,
                                .seeds = seeds,
                                .words = {"{\"a\": ", "\"data\": ", "\"items\": [", "[[[[", "\"\"", "\n", "\r\n", ",",
                                          "\t", "\xef\xbb\xbf", "\xff", "1e999", "\\ud800", "BZh9", "\x1f\x8b\x08"},
                                // What zstd may set aside for a window at most, as its own program does.
                                .memory = (std::size_t{128} << 20) + (std::size_t{1} << 20)};
  return result;
}

}  // namespace lowbit::fuzzing
