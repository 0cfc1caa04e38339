// The map over the slice in a pane, blended as the server blends it: each pixel of the slice has its share of colour.

import { sharpen } from "./sharp.js";

export class Overlay {
  #canvas;
  #picture = document.createElement("canvas");
  #drawn = false;

  /** @param {HTMLElement} pane whose slice it covers. */
  constructor(pane) {
    this.#canvas = document.createElement("canvas");
    this.#canvas.className = "map";
    this.#canvas.setAttribute("aria-hidden", "true");
    pane.append(this.#canvas);
    sharpen(this.#canvas);
  }

  /**
   * Colour the levels.
   * @param {Uint8Array} levels of each pixel, row by row; empty where there is no map.
   * @param {Uint8Array} colours red, green and blue of each of 256 levels.
   */
  colour(levels, colours, rows, columns) {
    this.#drawn = levels.length > 0;
    if (!this.#drawn) return;
    const pixels = new ImageData(columns, rows);
    for (let at = 0; at < levels.length; at += 1) {
      for (let part = 0; part < 3; part += 1) pixels.data[4 * at + part] = colours[3 * levels[at] + part];
      pixels.data[4 * at + 3] = 255;
    }
    [this.#picture.width, this.#picture.height] = [columns, rows];
    this.#picture.getContext("2d").putImageData(pixels, 0, 0);
  }

  /** Draw it from corner to corner of the slice, or nothing with an opacity of 0. */
  draw([left, top], [right, bottom], opacity) {
    const { clientWidth, clientHeight } = this.#canvas.parentElement;
    [this.#canvas.width, this.#canvas.height] = [clientWidth, clientHeight]; // which clears it, too
    if (!this.#drawn || !opacity) return;
    const context = this.#canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = opacity;
    context.drawImage(this.#picture, left, top, right - left, bottom - top);
  }
}
