"""The teacher layer that each layer of the student learns from."""


def layer_map(student: int, teacher: int) -> list[int]:
    """The teacher's layer, from 1, for each layer of the student: evenly spaced, the last with the last.

    For twelve layers and six these are 2, 4, …, 12 (every other layer, as in PKD-Skip); for twelve and four, 3, 6, 9,
    12 (TinyBERT's uniform map). If the teacher's number is not a multiple of the student's, layers are rounded up.

    Args:
        student: number of layers of the student.
        teacher: number of layers of the teacher, at least as many.
    """
    return [-(-layer * teacher // student) for layer in range(1, student + 1)]
