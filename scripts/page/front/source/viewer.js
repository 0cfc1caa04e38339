// The viewer: what Python sends is shown, what hands do is done; only slices that are not here are asked of Python.

import { Overlay } from "./overlay.js";
import { listen, mark } from "./page.js";
import { Panes } from "./panes.js";
import { Scroll } from "./scroll.js";
import { Store } from "./store.js";

const [ZOOM, MOVE] = [1.25, 40]; // a step of zoom, and of a way in pixels
const STEP = 0.1; // of the window's width

const find = (id) => document.getElementById(id);

/**
 * Open the viewer.
 * @param {(value: object) => void} answer tells Python which slice is shown, and which are wanted.
 * @param {(height: number) => void} grow tells the page how high we are.
 * @param {(reason: unknown) => void} fail tells the page that we cannot go on.
 * @returns {(args: object) => void} shows what Python sent; see lightbox.py for its arguments.
 */
export function open(answer, grow, fail) {
  const [original, mapped] = [find("original"), find("mapped")];
  find("viewer").hidden = false;
  const panes = new Panes([original, mapped], draw);
  const overlay = new Overlay(mapped);
  const store = new Store();
  const scroll = new Scroll(answer, store, show);
  let look = {}; // series, colours and opacity, as Python sent them last
  let shown = null; // slice
  let wanted = null; // slice, while another one is being drawn
  let mapping = true;

  function draw() {
    if (!shown) return;
    const { rows, columns } = shown;
    const corners = [[0, 0], [columns, rows]].map(([column, row]) => panes.locate(1, column, row));
    overlay.draw(...corners, mapping ? look.opacity : 0);
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
    const { levels, name, alt, told, window, answer: said } = shown;
    const there = levels.length > 0;
    original.setAttribute("aria-label", alt);
    mapped.setAttribute("aria-label", there && mapping ? `Heatmap for ${name} over the slice` : `${alt}, no heatmap`);
    if (find("answer").textContent !== said) find("answer").textContent = said; // it is read aloud
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
  listen((by) => scroll.step(by));
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

  /** Draw a slice with its own map and answer: none of the slice before is left beside its pixels. */
  async function paint(slice) {
    const [before, { rows, columns }] = [shown, slice];
    const anew = before?.series !== slice.series || rows !== before.rows || columns !== before.columns;
    if (slice.mark !== before?.mark) {
      overlay.colour([]);
      draw();
      find("answer").textContent = "";
      for (const pane of [original, mapped]) pane.style.aspectRatio = String(Math.max(1, columns / rows));
      await panes.show(slice.plane, { rows, columns, anew });
    }
    shown = slice;
    const { window } = slice;
    if (window && (anew || JSON.stringify(window) !== JSON.stringify(before.window))) setWindow(window);
    overlay.colour(slice.levels, look.colours, rows, columns);
    label();
    draw();
    grow(Math.ceil(find("viewer").getBoundingClientRect().height));
    document.documentElement.dataset.at = slice.at; // what is on the screen by now
  }

  /** Show slice `at`, or a later wish; what the page says beside us is marked while that is of slice `page`. */
  async function show(at, page) {
    mark(at !== page);
    const drawing = wanted !== null;
    wanted = { ...store.get(at), series: look.series };
    if (drawing) return;
    try {
      for (let next = null; next !== wanted; ) {
        next = wanted;
        await paint(next);
      }
    } catch (reason) {
      fail(reason);
    }
    wanted = null;
  }

  return ({ series, colours, opacity, ...args }) => {
    look = { series, colours, opacity };
    store.take(args);
    scroll.arrive({ ...args, series });
  };
}
