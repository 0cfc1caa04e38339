"""What a collection of pasted images is like, as numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What a collection of images is like.

    Attributes:
        size: side of the network input.
        view: side of the part of it that is shown, with the place in it; `size` for all. A part costs less to learn
            from, at the same pixels; a multiple of 32, as `size` is.
        masses: share of the malignant nodules that are enlarged to 22-80 mm.
        grown: share of the benign ones that are enlarged, so that size is not all that tells them apart.
        level: 1 draws the sizes of both classes as alike as the collection lets them, 0 as it has them.
        scale: most that a nodule is scaled by, or its inverse.
        little: share of images that are slices with little lung, Normal.
        controls: chance of a nodule-free paste, in Normal and in the others.
        lines: chance of drawn vessels or a scar.
        disease: chance of drawn fluid or collapse in the other lung.
        second: chance of a second nodule.
        augmented: off for slices as they would be served.
        pasting: off for a test: every other draw and the class stay.
    """

    size: int = 224
    view: int = 224
    masses: float = 0.4
    grown: float = 0.2
    level: float = 0.5
    scale: float = 1.3
    little: float = 0.07
    controls: tuple[float, float] = (0.75, 0.4)
    lines: float = 0.25
    disease: float = 0.08
    second: float = 0.12
    augmented: bool = True
    pasting: bool = True


AS_READ = Settings(masses=0, grown=0, level=0, scale=1, little=0, lines=0, disease=0, second=0, augmented=False)
