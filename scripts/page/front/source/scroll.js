// From slice to slice: Python has them, so each step is asked of it, one at a time; the newest wish counts.

const NOTCH = 40; // pixels of a wheel's notch or of a finger's way on a touchpad
const PATIENCE_MS = 3000; // after which a step that brought nothing is no longer waited for

export class Scroll {
  #answer;
  #shown = 1;
  #count = 1;
  #wished = 1;
  #asked = null;
  #since = 0;
  #number = 0;
  #way = 0;

  /** @param {(value: object) => void} answer tells Python. */
  constructor(answer) {
    this.#answer = answer;
  }

  /** Python shows slice `at` of `count`. */
  arrive(at, count) {
    const ours = at === this.#asked;
    if (at !== this.#shown && !ours) this.#wished = at; // somebody chose it on the page
    [this.#shown, this.#count] = [at, count];
    if (ours) this.#asked = null;
    this.#ask();
  }

  step(by) {
    this.#wished = Math.min(Math.max(this.#wished + by, 1), this.#count);
    this.#ask();
  }

  /** A wheel's event; whether it was of use. */
  turn(event) {
    if (this.#count === 1) return false;
    this.#way += event.deltaMode ? event.deltaY * NOTCH : event.deltaY;
    const notches = Math.trunc(this.#way / NOTCH);
    if (notches) {
      this.#way = 0;
      this.step(Math.sign(notches));
    }
    return true;
  }

  #ask() {
    const waiting = this.#asked !== null && performance.now() - this.#since < PATIENCE_MS;
    if (waiting || this.#wished === this.#shown) return;
    [this.#asked, this.#since] = [this.#wished, performance.now()];
    this.#answer({ at: this.#asked, asked: ++this.#number }); // the same slice twice is two wishes
  }
}
