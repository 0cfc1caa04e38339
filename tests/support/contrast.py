"""Contrast of what a browser shows, as WCAG 2.2 (1.4.3, 1.4.11) counts it."""

# Every piece of text that is seen: its words, its ratio to the ground below it, and whether it counts as large. Colours
# are read back from a canvas, which understands all ways of writing them; grounds are laid over each other up to the
# first opaque one. What is switched off may be faint, and is left out; icons, which are letters, count as large.
TEXTS = """
const root = document.querySelector(arguments[0]);
const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
const parse = colour => {
  pen.clearRect(0, 0, 1, 1); pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const over = (top, below) => below.map((value, i) => i < 3 ? top[i] * top[3] + value * (1 - top[3]) : 1);
const ground = element => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    const layer = parse(getComputedStyle(e).backgroundColor); layers.unshift(layer);
    if (layer[3] === 1) break;
  }
  return layers.reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const light = colour => {
  const [r, g, b] = colour.map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const walk = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), found = [];
while (walk.nextNode()) {
  const text = walk.currentNode.textContent.trim(), element = walk.currentNode.parentElement;
  if (!text || !element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
  if (element.closest("style, script, title, [disabled]")) continue;
  // a slider's value is written above its handle, not on it
  const base = element.closest("[data-testid=stSliderThumbValue]")?.closest("[data-testid=stSlider]") ?? element;
  const style = getComputedStyle(element), size = parseFloat(style.fontSize), below = ground(base);
  if (!size || element.getBoundingClientRect().width <= 1) continue;  // a pixel is what is for screen readers only
  const colour = over(parse(element instanceof SVGElement ? style.fill : style.color), below);
  found.push([text.slice(0, 60), ratio(colour, below), 
    size >= 24 || size >= 18.66 && style.fontWeight >= 700 || style.fontFamily.includes("Material")]);
}
return [found, ground(root).slice(0, 3)];
"""


def measure_contrast(one, other):
    """The ratio of two sRGB colours, each three numbers of 0 to 255."""
    lights = sorted((_light(one), _light(other)), reverse=True)
    return (lights[0] + 0.05) / (lights[1] + 0.05)


def read_texts(driver, root=".stApp"):
    """(words, ratio, large) of all text in the driver's page or frame, and the colour of its ground."""
    return driver.execute_script(TEXTS, root)


def _light(colour):
    parts = [v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
