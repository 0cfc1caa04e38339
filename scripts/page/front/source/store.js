// Slices near the one that is shown, as Python sent them, so that a step needs no answer of Python.

const NEAR = 8; // slices on each side
const BYTES = 48_000_000; // of all together; large slices are fewer

export class Store {
  #scope = null;
  #slices = new Map(); // null for one that Python cannot draw

  /** Take in what Python sent: `slices` say what their parts of `pixels` are. See lightbox.py. */
  take({ scope, slices, pixels }) {
    if (scope !== this.#scope) this.#slices.clear(); // another series, or other maps
    this.#scope = scope;
    let from = 0;
    const cut = (length) => pixels.slice(from, (from += length)); // copied: two bytes of a number begin at an even place
    for (const { plane, levels, ...slice } of slices) {
      const [values, map] = [cut(plane), cut(levels)];
      const parts = { ...slice, plane: slice.window ? new Int16Array(values.buffer) : values, levels: map };
      this.#slices.set(slice.at, plane ? parts : null);
    }
  }

  get(at) {
    return this.#slices.get(at);
  }

  /** The slices next to number `at` of `count` that are not here, the nearest first; those far away are let go. */
  lack(at, count) {
    const { plane, levels } = this.#slices.get(at) ?? {};
    if (!plane) return [];
    const reach = Math.min(NEAR, Math.floor(BYTES / (plane.byteLength + levels.byteLength) / 2));
    for (const each of this.#slices.keys()) if (Math.abs(each - at) > reach) this.#slices.delete(each);
    const near = Array.from({ length: 2 * reach }, (_, each) => at + (each % 2 ? -1 : 1) * (1 + (each >> 1)));
    return near.filter((each) => each >= 1 && each <= count && !this.#slices.has(each));
  }
}
