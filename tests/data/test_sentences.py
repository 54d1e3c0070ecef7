"""Sentences of texts with blanks and without."""

import pytest

from pipeline.data.scripts import script_of, word_count
from pipeline.data.sentences import sentences


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('It was a film. "It is so good!" he said then. No.', ["It was a film.", '"It is so good!']),
        ("这部电影非常好看！！我很喜欢这个故事。不好。", ["这部电影非常好看！！", "我很喜欢这个故事。"]),
        ("他说：「这部电影非常好看。」我很喜欢这个故事", ["他说：「这部电影非常好看。", "我很喜欢这个故事"]),
        ("とても面白い映画です？私は大好きな映画です。", ["とても面白い映画です？", "私は大好きな映画です。"]),
        ("ภาพยนตร์เรื่องนี้ดีมาก\nดี", ["ภาพยนตร์เรื่องนี้ดีมาก"]),
    ],
)  # fmt: skip
def test_ends_of_sentences(text, wanted):
    assert sentences(text) == wanted


@pytest.mark.parametrize(("text", "words"), [("", 0), ("a good film", 3), ("这部电影好看", 3), ("我 看 了", 3)])
def test_words(text, words):
    assert word_count(text) == words


@pytest.mark.parametrize(
    ("text", "script"),
    [("电影", "han"), ("映画は", "kana"), ("カー", "kana"), ("ดี", "thai"), ("電 3!", "han"), ("film", ""), ("a电", ""),
     ("。", "")],
)  # fmt: skip
def test_scripts(text, script):
    assert script_of(text) == script
