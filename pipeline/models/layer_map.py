"""Which layer of the teacher each layer of the student goes with."""


def layer_map(student: int, teacher: int) -> list[int]:
    """The teacher's layer, from 1, of each of the student's: evenly spaced, the last with the last.

    Twelve layers for six are 2, 4, …, 12 (every other layer, as in PKD's skip); twelve for four are 3, 6, 9, 12
    (TinyBERT's uniform map). Where the one is no multiple of the other the layer is rounded up.
    """
    return [-(-layer * teacher // student) for layer in range(1, student + 1)]
