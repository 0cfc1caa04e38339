// The page around the viewer: marked while it tells of another slice than is shown here; and its own ways to the next
// slice are taken by us as long as we are there, because that slice is.

const page = window.parent.document;
const KEYS = { p: -1, n: 1 };
const BUTTONS = { previous: -1, next: 1 };

export function mark(following) {
  page.documentElement.classList.toggle("ls-following", following);
}

/** @param {(by: number) => boolean} step goes back (-1) or forth (1) for the page's keys and buttons, if it can. */
export function listen(step) {
  const gone = new AbortController();
  window.addEventListener("pagehide", () => gone.abort());
  const take = (event, by) => {
    if (!by || !window.frameElement || !step(by)) return; // a frame that was removed is in no element
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  const options = { capture: true, signal: gone.signal };
  page.addEventListener("click", (event) => {
    const way = Object.keys(BUTTONS).find((each) => event.target.closest?.(`.st-key-${each} button`));
    take(event, BUTTONS[way]);
  }, options);
  page.addEventListener("keydown", (event) => {
    const typed = event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, textarea");
    take(event, typed ? 0 : KEYS[event.key.toLowerCase()]);
  }, options);
}
