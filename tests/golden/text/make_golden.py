"""Makes pipelines.json, sentencepiece.json and tiny.model in this folder: small vocabularies trained on the text below,
awkward strings, and what the reference implementations make of them.

Made with Python 3.11, tokenizers 0.23.3 and sentencepiece 0.2.3:  python make_golden.py
"""

import io
import json
import os
import random

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))

CORPUS = """
A narrow number holds little, and a wide one costs room. When the weights of a model are written with four bits, each
of them lands on one of sixteen levels; what is lost is the distance between the weight and its level. The layers that
follow see the sum of those losses, and now and then they don't forgive. We'll measure it, they're going to measure it,
and I've seen that it's worth the 2048 tokens or the 131072 tokens that it takes.
    for row in range(16):
        scale = max(abs(x) for x in row) / 7.5
        codes = [round(x / scale) for x in row]
Das Gewicht fällt auf eine Stufe; größere Stufen, größere Fehler. Où est la différence? Elle est là, dans la dernière
couche. Ошибка растёт с каждым слоем. 数字が少ないほど誤差は大きい。 소수점 아래는 버린다. Ο αριθμός είναι μικρός.
He said: "Don't round 0.5 twice!" - and she'd rounded 3.14159 already. {a: 1, b: [2, 3]} <tag attr="x">y</tag>
The last layer, the first layer, the embedding and the head: four places where eight bits pay for themselves.
"""

SPECIALS = ["<|end|>", "<|im_start|>", "<s>", "</s>", "<unk>", "<l>", "<r>", "<b>", "word", "<|end|>x", "<|en", "end|>"]
PARTS = [
    " ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", "\u00a0", "\u3000", "\u0085", "\u2003", "\u200b", "\u180e", "\u2028", "\ufeff",
    "\v", "\f", "\x00", "\x06", "\x1c", "\x7f", "'s", "'t", "'re", "'LL", "'\u017f", "don't", "WE'VE", "\u2019s", "'",
    "1", "12", "1234567", "3.14", "0x1F", "\u0661\u0662", "\u00bd", "\u2167", "\u3250", "\U0001d7d8", "the", " the", "The", "layer",
    "numbers", "quantization", "x" * 40, "ab" * 20, "größer", "gro\u0308ßer", "\u212b", "A\u030a", "q\u0323\u0307", "q\u0307\u0323",
    "\uac01", "\u1100\u1161\u11a8", "\ufb01", "\u0130", "\u03a3", "誤差", "。", "소수점", "слой", "नमस्ते", "שלום", "مرحبا", "ภาษา",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\U0001f44d\U0001f3fd", "\u2581", "\u2581\u2581",
    "\u0120", "<0x0A>", "()[]{}", "==", "!!!", "...", "a_b", "#", "/", "\\n", "<tag>", "\U0010ffff", "\ue000", "\ufffd",
]

BEHAVIORS = ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous")
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def strings():
    rng = random.Random(20240611)
    result = ["", " ", "\n", CORPUS]
    for _ in range(180):
        parts = [rng.choice(SPECIALS if rng.random() < 0.15 else PARTS) for _ in range(rng.randrange(1, 10))]
        result.append("".join(parts))
    return result


def special(content, **flags):
    return AddedToken(content, special=True, normalized=False, **flags)


def byte_level_model():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|end|>"], show_progress=False
    )
    tokenizer.train_from_iterator([CORPUS], trainer)
    return json.loads(tokenizer.to_str())["model"]


def fallback_model():
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", "always", True)
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=pieces, limit_alphabet=40, show_progress=False)
    tokenizer.train_from_iterator([CORPUS], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    model.update(byte_fallback=True, fuse_unk=True)
    return model


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def chain(*steps):
    return pre_tokenizers.Sequence([*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def variants():
    """name -> (model, normalizer, pre-tokenizer, decoder, post-processor, added tokens)"""
    level = decoders.ByteLevel()
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False)
    end = [special("<|end|>")]
    frame = processors.TemplateProcessing(
        single="<|end|> $A", special_tokens=[("<|end|>", 0)]
    )
    llama_frame = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    llama_added = [special("<unk>"), special("<s>"), special("</s>")]
    spaces = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    result = {
        "gpt2": ("bytes", None, gpt2, level, None, end),
        "smollm": ("bytes", None, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), gpt2]), level, None,
                   [special("<|end|>"), special("<|im_start|>")]),
        "llama3": ("bytes", None, chain(split(LLAMA3)), level,
                   processors.Sequence([processors.ByteLevel(trim_offsets=False), frame]), end),
        "qwen2": ("bytes", normalizers.NFC(), chain(split(LLAMA3.replace("{1,3}", ""))), level, None, end),
        "added": ("bytes", None, gpt2, level, None,
                  end + [AddedToken("<l>", lstrip=True), AddedToken("<r>", rstrip=True), AddedToken("<|end|>x"),
                         AddedToken("<b>", lstrip=True, rstrip=True, normalized=False),
                         AddedToken("word", single_word=True)]),
        "folded": ("bytes", normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip(True, True)]),
                   pre_tokenizers.ByteLevel(add_prefix_space=True), level, None, end),
        "nfd": ("bytes", normalizers.NFD(), gpt2, level, None, end),
        "nfkc": ("bytes", normalizers.NFKC(), gpt2, level, None, end),
        "words": ("bytes", None, chain(split(r"\w+|\d+|[^\w\s]+")), level, None, end),
        "literal": ("bytes", normalizers.Replace(Regex(r"\s\s+"), "..."),
                    chain(pre_tokenizers.Split("a.", "merged_with_next"), pre_tokenizers.Digits(False)), level, None, end),
        "llama2": ("fallback", normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]),
                   None, spaces, llama_frame, llama_added),
        "first": ("fallback", None, pre_tokenizers.Metaspace("\u2581", "first", False), spaces, llama_frame, llama_added),
        "spaced": ("fallback", None, pre_tokenizers.Metaspace("\u2581", "always", True),
                   decoders.Metaspace("\u2581", "always"), None, llama_added),
    }
    for behavior in BEHAVIORS:
        for invert in (False, True):
            name = behavior + ("_inverted" if invert else "")
            result[name] = ("bytes", None, chain(split(r"\s|[aeiou]|(?=x)", behavior, invert)), level, None, end)
    return result


def make_pipelines():
    trained = {"bytes": byte_level_model(), "fallback": fallback_model()}
    texts = strings()
    golden = {"models": trained, "strings": texts, "variants": {}}
    all_texts = texts
    for name, (model, normalizer, pre, decoder, post, added) in variants().items():
        shell = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": trained[model]}
        if name == "llama3":
            shell["model"] = {**trained[model], "ignore_merges": True}
        tokenizer = Tokenizer.from_str(json.dumps(shell))
        if normalizer is not None:
            tokenizer.normalizer = normalizer
        if pre is not None:
            tokenizer.pre_tokenizer = pre
        if post is not None:
            tokenizer.post_processor = post
        tokenizer.decoder = decoder
        tokenizer.add_tokens(added)
        entry = json.loads(tokenizer.to_str())
        del entry["model"]
        # The ten ways to split need fewer strings each.
        texts = all_texts[:60] if name.removesuffix("_inverted") in BEHAVIORS else all_texts
        plain = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
        tokenizer.encode_special_tokens = True
        golden["variants"][name] = {
            "model": model,
            "ignore_merges": name == "llama3",
            "shell": entry,
            "ids": plain,
            "unparsed": {str(i): e.ids for i, e in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False))
                         if e.ids != plain[i]},
            "frame": tokenizer.encode("", add_special_tokens=True).ids,
            "decoded": {str(i): text for i, text in enumerate(tokenizer.decode_batch(plain, skip_special_tokens=False))
                        if text != texts[i]},
        }
    with open(os.path.join(HERE, "pipelines.json"), "w", encoding="utf-8") as out:
        json.dump(golden, out, ensure_ascii=True, separators=(",", ":"))


def make_sentencepiece():
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.strip().split("\n")), model_writer=model, vocab_size=450, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, character_coverage=0.98,
        user_defined_symbols=["<tag>"], minloglevel=2)
    with open(os.path.join(HERE, "tiny.model"), "wb") as out:
        out.write(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    texts = strings()
    count = processor.get_piece_size()
    kinds = [2 if processor.is_unknown(i) else 3 if processor.is_control(i) else 6 if processor.is_byte(i)
             else 4 if processor.id_to_piece(i) == "<tag>" else 1 for i in range(count)]
    golden = {"strings": texts, "ids": [processor.encode(text) for text in texts],
              "pieces": [processor.id_to_piece(i) for i in range(count)],
              "scores": [processor.get_score(i) for i in range(count)], "types": kinds}
    with open(os.path.join(HERE, "sentencepiece.json"), "w", encoding="utf-8") as out:
        json.dump(golden, out, ensure_ascii=True, separators=(",", ":"))


make_pipelines()
make_sentencepiece()
