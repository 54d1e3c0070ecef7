"""The params of two texts: how they are read, and the layers and losses that keep what a sentence encoder knows."""

from collections.abc import Callable, Sequence
from contextlib import suppress

from pipeline.data.quoting import shown
from pipeline.errors import InputError
from pipeline.models.families import check_each
from pipeline.models.layers import check_layers
from pipeline.models.loading import load_encoder_config, quiet
from pipeline.params.edit import Value
from pipeline.params.file import load
from pipeline.params.yaml12 import inline
from pipeline.setup.column import Column
from pipeline.setup.models import LONGEST
from pipeline.setup.write import PARAMS

LEARNING_RATE = 5e-5
"""The teacher's at most: where it starts it orders pairs already, and should not forget how."""
OF_PREDICTIONS = "1.0e-4"
"""The student's if it is taught predictions alone, for the same reason: a loss of vectors would hold it."""
TITLES = ("title", "subject", "headline", "summary")
BODIES = ("body", "text", "content", "message", "description", "review", "comment")
"""How the names of a message's two parts end, which are not compared."""
VECTORS = "4.0"
"""The weight of the loss of vectors, which are small numbers."""


def pair_values(
    texts: Sequence[Column], address: str, values: dict[str, Value], say: Callable[[str], None]
) -> dict[str, Value]:
    """How two texts are read, each by itself if the teacher's family can, and the student that suits it.

    Args:
        texts: their columns; a title and a text are read as one.
        address: of the teacher.
        values: the models' params: a student cut from the teacher learns its vectors, another its predictions alone.
        say: prints a line.
    """
    titles, bodies = ([column for column in texts if column.plain_name.endswith(ends)] for ends in (TITLES, BODIES))
    if len(titles) == len(bodies) == 1:
        say(f"pairs: cross, because {shown(texts[0].name)} and {shown(texts[1].name)} look like parts of one message")
        return {"pairs": Value("cross")}
    config = load_encoder_config(address, "teacher.model")
    try:
        with quiet():
            check_each(config, "teacher.model", LONGEST)
    except InputError as error:
        say(f"{error}; taken: pairs: cross")
        return {"pairs": Value("cross")}
    other = values["student.model"].yaml
    whole = config if other == "null" else load_encoder_config(other, "student.model")
    # One more than for single texts: no layer that pools comes on top.
    layers = min(int(values["student.layers"].yaml) + 1, whole.num_hidden_layers)
    found = {"pairs": Value("each"), "student.layers": Value(str(layers))}
    if float(values["teacher.learning_rate"].yaml) > LEARNING_RATE:
        found["teacher.learning_rate"] = Value(f"{LEARNING_RATE:.1e}".replace("e-0", "e-"))
    with suppress(InputError):
        check_layers(whole, layers, "ends", address)
        found["student.pick"] = Value("ends")
    if values["student.init"].yaml == "teacher" and float(values["objectives.hidden"].yaml):
        cache = load(PARAMS).cache.model_dump() | {"hidden": True, "attention": False}
        found |= {"objectives.attention": Value("0.0"), "objectives.hidden": Value("0.0")}
        found |= {"objectives.vectors": Value(VECTORS), "cache": Value(inline(cache))}
    else:
        found["distill.learning_rate"] = Value(OF_PREDICTIONS)
    return found
