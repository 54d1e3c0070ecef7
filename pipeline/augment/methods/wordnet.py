"""WordNet through nltk: synonyms of a word, and its most frequent part of speech."""

import io
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.errors import InputError

DEBIAN = Path("/usr/share/wordnet")
"""Where Debian's package wordnet-base puts the files."""

_FUNCTION_WORDS = """
    a about above after again against ain all am an and any are aren as at be because been before being below between
    both but by can couldn d did didn do does doesn doing don down during each few for from further had hadn has hasn
    have haven having he her here hers herself him himself his how i if in into is isn it its itself just ll m ma me
    mightn more most mustn my myself needn no nor not now o of off on once only or other our ours ourselves out over
    own re s same shan she should shouldn so some such t than that the their theirs them themselves then there these
    they this those through to too under until up ve very was wasn we were weren what when where which while who whom
    why will with won would wouldn y you your yours yourself yourselves
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that WordNet would confuse with others: `a` for adenine, `it` for information technology, `he` for helium."""


class WordNet:
    """The English WordNet, without function words."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def files(self) -> list[Path]:
        """Its files, by name; or the archive that has them, as nltk downloads it."""
        root = Path(str(self.reader.root))
        archives = [folder for folder in (root, *root.parents) if folder.suffix == ".zip" and folder.is_file()]
        return archives[:1] or sorted(path for path in root.glob("*.*") if path.is_file())

    @lru_cache(maxsize=1 << 16)  # noqa: B019  (one WordNet a process)
    def synonyms(self, word: str) -> tuple[str, ...]:
        """Other words for a word in any of its senses, in alphabetical order, lower-case."""
        if word.lower() in FUNCTION_WORDS:
            return ()
        names = {lemma.name() for sense in self.reader.synsets(word) for lemma in sense.lemmas()}
        plain = {name.replace("_", " ").replace("-", " ").lower() for name in names}
        return tuple(sorted(plain - {word.lower()}))

    @lru_cache(maxsize=1 << 16)  # noqa: B019
    def part_of_speech(self, word: str) -> str | None:
        """`n`, `v`, `a` or `r`: what the word is most often in WordNet's tagged texts, or else in most of its senses.

        Returns None for words that WordNet does not have, and for function words.
        """
        if word.lower() in FUNCTION_WORDS:
            return None
        counts: dict[str, list[int]] = {}
        for sense in self.reader.synsets(word):
            tagged_and_senses = counts.setdefault(sense.pos().replace("s", "a"), [0, 0])
            tagged_and_senses[0] += sum(lemma.count() for lemma in sense.lemmas() if lemma.name().lower() == word)
            tagged_and_senses[1] += 1
        return max(counts, key=lambda part: counts[part], default=None)


def load_wordnet(folder: Path | None = None) -> WordNet:
    """Open WordNet.

    Args:
        folder: of its files; by default nltk's corpus if it is installed, else Debian's.

    Raises InputError that names both ways to install it.
    """
    try:
        import nltk
        from nltk.corpus import wordnet
        from nltk.corpus.reader import WordNetCorpusReader
    except ImportError as error:
        raise InputError("augment.method: nltk is not installed; accepted: pip install -e '.[wordnet]'") from error

    class Reader(WordNetCorpusReader):  # type: ignore[misc]
        """Reads Debian's files, which lack the one that names groups of senses."""

        def open(self, file: str) -> Any:
            if file == "lexnames":
                return io.StringIO("".join(f"{number:02d} none 0\n" for number in range(45)))
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """Do nothing: other languages are not used."""

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The multilingual functions are not available")
        if folder is None:
            try:
                wordnet.ensure_loaded()
                return WordNet(wordnet)
            except LookupError:
                folder = DEBIAN
        if not (folder / "data.noun").is_file():
            raise InputError(
                "augment.method: WordNet's files were not found; accepted: python -m nltk.downloader wordnet, or "
                "apt-get install wordnet-base"
            )
        # nltk reads only from folders on its path.
        nltk.data.path.append(str(folder))
        return WordNet(Reader(str(folder), None))
