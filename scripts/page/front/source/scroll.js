// From slice to slice: one that is here is shown at once and Python told of it, any other is asked of Python. It is
// asked one thing at a time, and the newest wish counts.

const NOTCH = 40; // pixels of a wheel's notch or of a finger's way on a touchpad
const PATIENCE_MS = 3000; // after which an answer that did not come is no longer waited for

export class Scroll {
  #answer;
  #show;
  #store;
  #series = null;
  #scope = null;
  #page = 1; // what the page tells of
  #count = 1;
  #wished = 1;
  #asked = []; // slices that are not answered yet, the oldest first
  #question = "";
  #since = 0;
  #number = 0;
  #way = 0;

  /**
   * @param {(value: object) => void} answer tells Python.
   * @param {import("./store.js").Store} store has the slices that are here.
   * @param {(at: number, page: number) => void} show shows one of them; the page tells of number `page`.
   */
  constructor(answer, store, show) {
    [this.#answer, this.#store, this.#show] = [answer, store, show];
  }

  /** The page tells of slice `at` of `count`, which is in the store. */
  arrive({ at, count, series, scope }) {
    const [answered, other] = [this.#asked.lastIndexOf(at), series !== this.#series];
    if (other || (at !== this.#page && answered < 0)) this.#wished = at; // somebody chose it on the page
    this.#asked.splice(0, other ? Infinity : answered + 1); // what was asked before it is answered no more
    [this.#page, this.#count, this.#series, this.#scope] = [at, count, series, scope];
    this.#go();
  }

  /** Whether there is a series to step in. */
  step(by) {
    if (this.#series === null) return false;
    this.#wished = Math.min(Math.max(this.#wished + by, 1), this.#count);
    this.#go();
    return true;
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

  #go() {
    if (this.#store.get(this.#wished)) this.#show(this.#wished, this.#page);
    if (this.#asked.length) {
      if (performance.now() - this.#since < PATIENCE_MS) return;
      this.#question = ""; // nobody heard it
    }
    const lacks = this.#store.lack(this.#wished, this.#count);
    const question = `${this.#scope} ${this.#wished} ${lacks}`;
    if (this.#wished === this.#page && (!lacks.length || question === this.#question)) return;
    this.#asked.push(this.#wished);
    [this.#question, this.#since] = [question, performance.now()];
    this.#answer({ at: this.#wished, series: this.#series, lacks, asked: ++this.#number }); // the same again is another wish
    setTimeout(() => this.#go(), 1.1 * PATIENCE_MS); // Streamlit loses one that comes as it begins to draw the page
  }
}
