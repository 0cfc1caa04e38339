"""A synthetic axial chest slice in Hounsfield units: body, lungs, vessels, heart, spine, ribs, table, noise.

Lengths are mm, x towards the patient's left, y towards the back; angle 0 is left, pi / 2 is back.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

NODULES = ("none", "smooth", "spiculated")
FIELD_MM, SLICE_MM, OVERSAMPLING = 360.0, 3.0, 2
AIR, TABLE_FOAM, FAT, MUSCLE, CANCELLOUS, TABLE_SKIN, CORTEX = -1010, -950, -100, 45, 200, 500, 700
# Mediastinum, front to back: right edge at the carina and at the ventricles, left edge at the same two levels.
EDGES = (
    ((-4, -96), (-5, -70), (-24, -52), (-32, -28), (-34, -4), (-24, 14), (-15, 30), (-22, 46)),
    ((-10, -96), (-24, -76), (-46, -52), (-54, -22), (-42, 2), (-20, 18), (-13, 32), (-22, 46)),
    ((4, -96), (5, -74), (15, -58), (29, -34), (38, -4), (32, 12), (44, 30), (30, 50)),
    ((12, -96), (30, -82), (60, -60), (78, -20), (62, 10), (34, 16), (40, 34), (28, 50)),
)


class Anatomy:
    """What differs between phantoms: inner rib cage and soft tissue in mm, blood and lung in HU."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.half_width, self.half_depth = rng.uniform((108, 87), (122, 99))
        self.fat, self.shoulder = rng.uniform((7, 20), (15, 34))
        self.level = rng.uniform()  # 0 at the carina, 1 at the ventricles
        self.blood, self.lung = rng.uniform((40, -895), (170, -840))
        self.rib_phase = rng.uniform(0, 0.4)
        self.middle = rng.uniform((-6, -10), (6, 2))


class Sheet:
    """A square float32 canvas of size * OVERSAMPLING pixels that is drawn on in mm around its middle."""

    def __init__(self, size: int, value: float, middle: np.ndarray) -> None:
        self.image = Image.new("F", (size * OVERSAMPLING, size * OVERSAMPLING), value)
        self.scale = size * OVERSAMPLING / FIELD_MM
        self.offset = middle + FIELD_MM / 2
        self.pen = ImageDraw.Draw(self.image)

    def fill(self, outline: np.ndarray, value: float) -> None:
        """Fill a closed outline, (N, 2) mm."""
        self.pen.polygon(((outline + self.offset) * self.scale).ravel().tolist(), fill=value)

    def fill_bone(self, outline: np.ndarray, rim: float) -> None:
        """Fill an (N, 2) mm outline with cortex, and with cancellous bone inside a rim (a share of the radius)."""
        self.fill(outline, CORTEX)
        self.fill(outline.mean(axis=0) + (outline - outline.mean(axis=0)) * (1 - rim), CANCELLOUS)


def trace_ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> np.ndarray:
    """Return an ellipse turned by tilt radians, (40, 2) mm."""
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    u, v = rx * np.cos(t), ry * np.sin(t)
    return np.stack([x + u * np.cos(tilt) - v * np.sin(tilt), y + u * np.sin(tilt) + v * np.cos(tilt)], axis=1)


def trace_wall(anatomy: Anatomy, angles: np.ndarray, outside: float | np.ndarray = 0.0) -> np.ndarray:
    """Return the points outside mm beyond the inside of the rib cage, (N, 2) mm."""
    c, s = np.cos(angles), np.sin(angles)
    x = (anatomy.half_width + outside) * c * (1 + 0.04 * s)
    y = (anatomy.half_depth + outside) * np.sign(s) * np.abs(s) ** 0.9
    # The spine pulls in the back, the sternum the front.
    return np.stack([x, y - np.where(s > 0, 10, -5) * np.exp(-((x / 24) ** 2))], axis=1)


def trace_skin(anatomy: Anatomy, inside: float) -> np.ndarray:
    """Return the outline that lies inside mm below the skin, (360, 2) mm."""
    angles = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    lean = np.arctan2(np.sin(angles), np.abs(np.cos(angles)))
    # Raised arms pull the shoulder blades out to the back of the side; the pectorals square the front.
    bulge = anatomy.shoulder * np.exp(-(((lean - 0.42) / 0.5) ** 2)) + 9 * np.exp(-(((lean + 0.95) / 0.3) ** 2))
    reach = anatomy.fat + 15 - inside + bulge + 5 * np.sin(lean)
    return trace_wall(anatomy, angles) + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def trace_mediastinum(anatomy: Anatomy) -> np.ndarray:
    """Return the outline of heart and great vessels between carina and ventricles, (N, 2) mm."""
    edges, level = np.array(EDGES, dtype=float), anatomy.level
    right, left = (1 - level) * edges[::2] + level * edges[1::2]
    outline = np.concatenate([right, left[::-1]]) * [anatomy.half_width / 122, anatomy.half_depth / 92]
    for _ in range(3):  # cut the corners until they look round
        after = np.roll(outline, -1, axis=0)
        outline = np.stack([0.75 * outline + 0.25 * after, 0.25 * outline + 0.75 * after], axis=1).reshape(-1, 2)
    return outline


def draw_table(sheet: Sheet, top: float) -> None:
    """Draw the hollow table top whose lowest point lies at top mm."""
    x = np.linspace(-192, 192, 90)
    bow = top - 50 * (x / 192) ** 2
    for skin, hu in ((0.0, TABLE_SKIN), (2.0, TABLE_FOAM)):
        depth = np.maximum(28 * (1 - (x / 192) ** 6) - skin, skin)
        sheet.fill(np.concatenate([np.stack([x, bow + skin], 1), np.stack([x, bow + depth], 1)[::-1]]), hu)


def draw_ribs(sheet: Sheet, anatomy: Anatomy) -> None:
    """Draw the ribs that the slice cuts, as lenses along the wall, and the sternum."""
    t = np.linspace(0.02, 0.98, 24)
    for k, start in enumerate(np.arange(-1.15, 4.3, 0.47) + anatomy.rib_phase):
        if abs(start - np.pi / 2 + 0.12) < 0.3:  # the spine is here
            continue
        angles, bulge = start + t * (0.2 + 0.1 * (k % 3)), 3.6 * np.sqrt(np.sin(np.pi * t))
        for share, hu in ((1, CORTEX), (0.45, CANCELLOUS)):
            far, near = (trace_wall(anatomy, angles, 5.5 + side * share * bulge) for side in (1, -1))
            sheet.fill(np.concatenate([far, near[::-1]]), hu)
    sheet.fill_bone(trace_ellipse(0, -anatomy.half_depth - 1, 19, 5.5), 0.25)


def draw_spine(sheet: Sheet, y: float) -> None:
    """Draw a thoracic vertebra whose body has its middle at y mm, and the muscle behind it."""
    for sign in (-1, 1):
        sheet.fill(trace_ellipse(sign * 33, y + 33, 28, 15, sign * 0.15), MUSCLE)
        sheet.fill_bone(trace_ellipse(sign * 23, y + 21, 15, 4.5, sign * 0.5), 0.35)
    for outline, rim in (((0, y + 38, 3.5, 13), 0.4), ((0, y + 19, 14, 12), 0.12), ((0, y, 18, 14), 0.1)):
        sheet.fill_bone(trace_ellipse(*outline), rim)
    sheet.fill(trace_ellipse(0, y + 19, 9, 8), FAT)
    sheet.fill(trace_ellipse(0, y + 19, 6, 5.5), MUSCLE)


def draw_mediastinum(sheet: Sheet, anatomy: Anatomy) -> None:
    """Draw heart, aorta, oesophagus and airways; the airways leave the middle on the way down."""
    level, outline = anatomy.level, trace_mediastinum(anatomy)
    middle = np.array([outline[:, 0].mean(), -30])
    sheet.fill(outline, FAT)
    sheet.fill(middle + (outline - middle) * [0.94, 0.72], MUSCLE)
    ventricle = (middle[0] + 18 + 18 * level, -26, 10 + 20 * level, 9 + 13 * level, 0.4)
    atrium, aorta = (middle[0] - 12, -34, 14 + 8 * level, 14 + 6 * level), (26, 34, 12.5, 12.5)
    for vessel in (ventricle, atrium, aorta):
        sheet.fill(trace_ellipse(*vessel), anatomy.blood)
    sheet.fill(trace_ellipse(4, 26, 7, 4.5), MUSCLE)
    spread, radius = 26 * min(level / 0.35, 1), 9 - 4 * level
    for x in (-spread, spread) if level < 0.7 else ():
        sheet.fill(trace_ellipse(x, 8, radius + 1.5, radius), MUSCLE)
        sheet.fill(trace_ellipse(x, 8, radius, radius - 1.5), AIR)


def draw_body(sheet: Sheet, anatomy: Anatomy) -> None:
    """Draw everything but the lungs."""
    draw_table(sheet, trace_skin(anatomy, 0)[:, 1].max() + 9)
    for inside, hu in ((0, MUSCLE), (2, FAT), (anatomy.fat + 2, MUSCLE)):
        sheet.fill(trace_skin(anatomy, inside), hu)
    reach, around = anatomy.half_width + 16, np.linspace(0, 2 * np.pi, 360)
    for sign in (-1, 1):
        sheet.fill(trace_ellipse(sign * reach, -10, 12, 40, sign * -0.25), FAT)
        sheet.fill(trace_ellipse(sign * (reach - 2), 42, 15, 34, sign * 0.5), MUSCLE)
        sheet.fill_bone(trace_ellipse(sign * (reach - 28), 76, 34, 2.6, sign * -0.8), 0.4)
    sheet.fill(trace_wall(anatomy, around, 13), FAT)
    sheet.fill(trace_wall(anatomy, around, 11), MUSCLE)
    draw_mediastinum(sheet, anatomy)
    draw_ribs(sheet, anatomy)
    draw_spine(sheet, anatomy.half_depth - 36)


def draw_lungs(sheet: Sheet, anatomy: Anatomy) -> None:
    """Draw both lungs as 1 on a sheet of 0."""
    sheet.fill(trace_wall(anatomy, np.linspace(0, 2 * np.pi, 360)), 1)
    sheet.fill(trace_mediastinum(anatomy), 0)
    sheet.fill(trace_ellipse(0, anatomy.half_depth - 32, 23, 22), 0)
    sheet.fill(trace_ellipse(0, anatomy.half_depth, 46, 28), 0)


def draw_vessels(sheet: Sheet, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Grow trees out of the hila in 3D, all branches at once, and draw what the slice cuts of them."""
    side, z, turn = (axis.ravel() for axis in np.meshgrid((-1, 1), (-28, -14, 0, 14, 28), (-1.2, -0.5, 0.2, 0.9)))
    turn = turn + rng.uniform(-0.2, 0.2, z.size)
    start = np.stack([34.0 * side, np.full(z.size, 4.0), z], axis=1)
    heading = np.stack([side * np.cos(turn), np.sin(turn), rng.normal(0, 0.3, z.size) - z / 25], axis=1)
    radius = rng.uniform(1.5, 2.9, z.size)
    while radius.size:
        heading = heading + rng.normal(0, (0.14, 0.14, 0.35), heading.shape)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        end = start + heading * (2.2 * radius + 2.5)[:, None]
        half = np.sqrt(radius**2 - (np.abs(start[:, 2] + end[:, 2]) / 2 - SLICE_MM / 2).clip(0, radius) ** 2)
        across = heading[:, [1, 0]] * (-1, 1) * (half / np.hypot(*heading.T[:2]))[:, None]
        a, b = start[:, :2], end[:, :2]
        tube = np.stack([a + across, b + across, b - across, a - across], axis=1)
        for k in np.flatnonzero(half):
            hu = anatomy.lung + min(1, 0.25 + radius[k] / 1.8) * (MUSCLE - anatomy.lung)
            sheet.fill(tube[k], hu)
            sheet.fill(trace_ellipse(b[k, 0], b[k, 1], half[k], half[k]), hu)
        near = (np.hypot(*end.T[:2]) < anatomy.half_width) & (np.abs(end[:, 2]) < 50)
        fork = near & (rng.random(near.size) < 0.5)
        twig = heading[fork] + 0.5 * rng.normal(size=(fork.sum(), 3))
        thin = radius[fork] * rng.uniform(0.5, 0.8, fork.sum())
        start, heading = np.concatenate([end[near], end[fork]]), np.concatenate([heading[near], twig])
        radius = np.concatenate([0.93 * radius[near], thin])
        start, heading, radius = start[radius > 0.42], heading[radius > 0.42], radius[radius > 0.42]


def draw_nodule(sheet: Sheet, kind: str, lungs: np.ndarray, rng: np.random.Generator) -> None:
    """Draw a nodule, smooth (12 mm) or spiculated (20 mm), well inside a lung of the (S, S) float mask."""
    deep = blur(lungs[::OVERSAMPLING, ::OVERSAMPLING], 9 * sheet.scale / OVERSAMPLING)
    row, column = rng.choice(np.argwhere(deep > 0.93)) * OVERSAMPLING
    t = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    radius = np.full(t.shape, 6.0)
    if kind == "spiculated":
        radius += 2.5 + sum(rng.normal(0, 1.1) * np.cos(n * t + rng.uniform(0, 6)) for n in (2, 3, 5))
        radius[rng.choice(90, 14, replace=False)] += rng.uniform(3, 9, 14)
    middle = np.array([column, row]) / sheet.scale - sheet.offset
    sheet.fill(middle + radius[:, None] * np.stack([np.cos(t), np.sin(t)], axis=1), 30)


def filter_image(image: np.ndarray, transfer: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """Filter an (S, S) image with a transfer function of the frequencies fy, fx in cycles a pixel."""
    fy, fx = np.fft.fftfreq(len(image))[:, None], np.fft.rfftfreq(len(image))[None]
    return np.fft.irfft2(np.fft.rfft2(image) * transfer(fy, fx), image.shape)


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an (S, S) image with a Gaussian of sigma pixels."""
    return filter_image(image, lambda fy, fx: np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2)))


def draw_slice(seed: int = 0, nodule: str = "none", size: int = 512) -> np.ndarray:
    """Return a (size, size) int16 slice in HU; equal arguments give equal pixels."""
    if nodule not in NODULES:
        raise ValueError(f"nodule must be one of {', '.join(NODULES)}, not {nodule!r}")
    pixel, anatomy, rng = FIELD_MM / size, Anatomy(np.random.default_rng(seed)), np.random.default_rng([seed, 1])
    body, inside, lungs = (Sheet(size, value, anatomy.middle) for value in (AIR, anatomy.lung, 0))
    draw_body(body, anatomy)
    draw_lungs(lungs, anatomy)
    draw_vessels(inside, anatomy, rng)
    mask = np.asarray(lungs.image)
    if nodule != "none":
        draw_nodule(inside, nodule, mask, np.random.default_rng([seed, 2]))
    fine = np.stack([np.where(mask > 0, np.asarray(inside.image), np.asarray(body.image)), mask])
    hu, lung = fine.reshape(2, size, OVERSAMPLING, size, OVERSAMPLING).mean(axis=(2, 4))
    y, x = (np.mgrid[:size, :size] + 0.5) * pixel - FIELD_MM / 2
    texture, white = rng.standard_normal((2, size, size))
    texture = blur(texture, 2 / pixel)
    grain = blur(filter_image(white, lambda fy, fx: np.hypot(fy, 0.8 * fx)), 0.6 / pixel)
    # Blood pools at the back of a lung; photons are fewest in the middle of the body.
    hu = blur(hu, 0.55 / pixel) + lung * (0.35 * y + 18 * texture / texture.std())
    hu += grain / grain.std() * np.where(hu < -960, 7, 16 + 9 * np.exp(-(x**2 + y**2) / 90**2))
    return np.where(np.hypot(x, y) < FIELD_MM / 2, np.rint(hu).clip(-1024, 3071), -1024).astype(np.int16)
