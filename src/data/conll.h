#pragma once

#include <string_view>

#include "data/rows.h"

namespace lowbit {

/// Sentences of tagged words, the form of the CoNLL tasks: a word and its tag a line, separated by a tab or else by the
/// line's last blank, and a blank line behind each sentence; lines "-DOCSTART-" stand between documents. Tags are "O",
/// "B-<type>" and "I-<type>"; an I begins a name unless the word before it has the same type. A row is
///
///   {"text": "Ann lives in Rome", "words": [...], "tags": [...], "entities": {"person": ["Ann"], "location":
///   ["Rome"]}}
///
/// with each name once. A line "O" without a word, of which published files have some, says nothing and is
/// passed over; a sentence with a line that lacks word or tag otherwise is a problem.
void read_tagged_sentences(std::string_view text, std::string_view origin, Rows& out);

}  // namespace lowbit
