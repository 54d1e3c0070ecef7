"""WordNet: synonyms, parts of speech, and what is said where it is not installed."""

import zipfile
from types import SimpleNamespace

import pytest

from pipeline.augment.methods.wordnet import WordNet, load_wordnet
from pipeline.errors import InputError


def test_synonyms_of_all_senses(wordnet):
    assert wordnet.synonyms("film") == ("motion picture", "movie", "shoot")
    assert wordnet.synonyms("warm") == ()
    assert wordnet.synonyms("filmgoer") == ()


def test_a_part_of_speech_is_that_of_most_senses(wordnet):
    kinds = {word: wordnet.part_of_speech(word) for word in ("film", "shoot", "good", "slow", "slowly", "so")}
    assert kinds == {"film": "n", "shoot": "v", "good": "a", "slow": "a", "slowly": "r", "so": None}


def test_function_words_have_none(tmp_path, write_wordnet):
    folder = tmp_path / "files"
    senses = {"noun": [["a", "angstrom"], ["he", "helium"]], "verb": [], "adj": [], "adv": []}
    write_wordnet(folder, senses)
    wordnet = load_wordnet(folder)
    assert [wordnet.synonyms(word) for word in ("a", "He", "helium")] == [(), (), ("he",)]
    assert wordnet.part_of_speech("he") is None
    assert [file.name for file in wordnet.files()] == sorted(file.name for file in folder.iterdir())


def test_an_archive_is_its_file(tmp_path):
    """As nltk's downloader leaves it."""
    archive = tmp_path / "wordnet.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("wordnet/data.noun", "")
    assert WordNet(SimpleNamespace(root=archive / "wordnet")).files() == [archive]


def test_where_there_is_none_both_ways_to_get_it_are_named(tmp_path):
    with pytest.raises(InputError) as caught:
        load_wordnet(tmp_path)
    assert str(caught.value) == (
        "augment.method: WordNet's files were not found; accepted: python -m nltk.downloader wordnet, or "
        "apt-get install wordnet-base"
    )
