// The page and its viewer: Streamlit's messages to a component in a frame, and what is said when the viewer cannot start.

let latest = null;
let show = null;

function tell(type, content = {}) {
  const message = { isStreamlitMessage: true, type: `streamlit:${type}`, ...content };
  window.parent.postMessage(message, window.location.origin);
}

/** Give Python a value: which slice is wanted, or that there is no viewer. */
function answer(value) {
  tell("setComponentValue", { value, dataType: "json" });
}

/** The page shows two pictures in our place. */
function fail(reason) {
  console.error("The viewer cannot start:", reason);
  tell("setFrameHeight", { height: 0 });
  answer({ failed: true });
}

function render(message) {
  const root = document.documentElement;
  root.classList.toggle("dark", message.theme?.base === "dark");
  root.style.setProperty("--ground", message.theme?.backgroundColor ?? "");
  try {
    show(message.args);
  } catch (reason) {
    fail(reason);
  }
}

window.addEventListener("message", (event) => {
  if (event.source !== window.parent || event.data?.type !== "streamlit:render") return;
  latest = event.data;
  if (show) render(latest);
});
tell("componentReady", { apiVersion: 1 });

try {
  const { open } = await import("./viewer.js");
  show = open(answer, (height) => tell("setFrameHeight", { height }), fail);
  if (latest) render(latest);
} catch (reason) {
  fail(reason);
}
