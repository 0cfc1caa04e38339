// The viewer: what Python sends is shown, what hands do is done; only another slice is asked of Python.

import { Overlay } from "./overlay.js";
import { Panes } from "./panes.js";
import { Scroll } from "./scroll.js";

const [ZOOM, MOVE] = [1.25, 40]; // a step of zoom, and of a way in pixels
const STEP = 0.1; // of the window's width

const find = (id) => document.getElementById(id);

/**
 * Open the viewer.
 * @param {(value: object) => void} answer tells Python which slice is wanted.
 * @param {(height: number) => void} grow tells the page how high we are.
 * @returns {(args: object) => Promise<void>} shows what Python sent; see lightbox.py for its arguments.
 */
export function open(answer, grow) {
  const [original, mapped] = [find("original"), find("mapped")];
  find("viewer").hidden = false;
  const panes = new Panes([original, mapped], draw);
  const overlay = new Overlay(mapped);
  const scroll = new Scroll(answer);
  let shown = null;
  let mapping = true;

  function draw() {
    if (!shown) return;
    const { rows, columns, opacity } = shown;
    const corners = [[0, 0], [columns, rows]].map(([column, row]) => panes.locate(1, column, row));
    overlay.draw(...corners, mapping ? opacity : 0);
    const { lower, upper } = panes.window;
    const window = panes.hu ? `Window ${Math.round((lower + upper) / 2)}, ${Math.round(upper - lower)} HU. ` : "";
    find("state").textContent = `${window}Zoom ${Math.round(100 * panes.zoom)} %`;
  }

  function setWindow({ center, width }) {
    panes.window = { lower: center - width / 2, upper: center + width / 2 };
  }

  function changeWindow(level, width) {
    if (!panes.hu) return;
    const { lower, upper } = panes.window;
    const wide = upper - lower;
    setWindow({ center: (lower + upper) / 2 + level * wide, width: Math.max(wide * (1 + width), 1) });
  }

  function reset() {
    panes.fit();
    if (panes.hu) setWindow(shown.window);
    draw();
  }

  function toggle() {
    if (!shown?.levels.length) return;
    mapping = !mapping;
    label();
    draw();
  }

  function label() {
    const { levels, name, alt, told, window } = shown;
    const there = levels.length > 0;
    original.setAttribute("aria-label", alt);
    mapped.setAttribute("aria-label", there && mapping ? `Heatmap for ${name} over the slice` : `${alt}, no heatmap`);
    find("told").textContent = told;
    find("told").hidden = there;
    find("named").textContent = !there ? "" : mapping ? `Heatmap for ${name}` : "Map off";
    find("map").disabled = !there;
    find("map").setAttribute("aria-pressed", String(there && mapping));
    find("window").hidden = !window;
  }

  const buttons = {
    map: toggle,
    out: () => (panes.zoom /= ZOOM),
    in: () => (panes.zoom *= ZOOM),
    lower: () => changeWindow(-STEP, 0),
    higher: () => changeWindow(STEP, 0),
    narrower: () => changeWindow(0, -STEP),
    wider: () => changeWindow(0, STEP),
    reset,
  };
  for (const [id, act] of Object.entries(buttons)) find(id).addEventListener("click", act);

  const keys = {
    ArrowUp: () => scroll.step(-1), ArrowLeft: () => scroll.step(-1), p: () => scroll.step(-1),
    ArrowDown: () => scroll.step(1), ArrowRight: () => scroll.step(1), n: () => scroll.step(1),
    PageUp: () => scroll.step(-10), PageDown: () => scroll.step(10),
    "+": buttons.in, "=": buttons.in, "-": buttons.out, m: toggle, r: reset,
  };
  const moves = {
    ArrowUp: [0, MOVE], ArrowDown: [0, -MOVE], ArrowLeft: [MOVE, 0], ArrowRight: [-MOVE, 0],
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (event.shiftKey && moves[key]) panes.move(...moves[key]);
    else if (keys[key]) keys[key]();
    else return;
    event.preventDefault();
  });
  find("panes").addEventListener(
    "wheel",
    (event) => {
      if (!shown) return;
      if (event.ctrlKey) panes.zoom *= event.deltaY < 0 ? ZOOM : 1 / ZOOM;
      else if (!scroll.turn(event)) return;
      event.preventDefault();
    },
    { passive: false, capture: true },
  );
  find("panes").addEventListener("contextmenu", (event) => event.preventDefault()); // the right button zooms
  find("panes").addEventListener("pointerdown", () => find("panes").focus({ preventScroll: true, focusVisible: false }));
  new ResizeObserver(() => {
    panes.resize();
    draw();
    grow(Math.ceil(find("viewer").getBoundingClientRect().height));
  }).observe(find("viewer"));

  return async (args) => {
    const before = shown;
    const shape = { rows: args.rows, columns: args.columns };
    const anew = args.series !== before?.series || Object.keys(shape).some((key) => shape[key] !== before[key]);
    for (const pane of [original, mapped]) {
      pane.style.aspectRatio = String(Math.max(1, args.columns / args.rows));
    }
    shown = args;
    if (args.mark !== before?.mark) {
      const bytes = args.plane.slice(); // a number of two bytes has to begin at an even place
      await panes.show(args.window ? new Int16Array(bytes.buffer) : bytes, { ...shape, anew });
    }
    if (args.window && (anew || JSON.stringify(args.window) !== JSON.stringify(before.window))) setWindow(args.window);
    overlay.colour(args.levels, args.colours, args.rows, args.columns);
    label();
    draw();
    grow(Math.ceil(find("viewer").getBoundingClientRect().height));
    document.documentElement.dataset.at = args.at; // what is on the screen by now
    scroll.arrive(args.at, args.count);
  };
}
