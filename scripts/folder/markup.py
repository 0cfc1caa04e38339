"""Style and script of the summary page. Both stand inside it: it loads nothing, and works from a file."""

from __future__ import annotations

import base64
import hashlib

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;color:#1b2430;background:#fff;max-width:1120px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin:0}h2{font-size:1.15rem;margin:2rem 0 .5rem}
.notice{background:#fff4d6;border-left:4px solid #b26a00;padding:.5rem .8rem;margin:1rem 0}
.counts{display:flex;flex-wrap:wrap;gap:.75rem;padding:0;list-style:none}
.counts li{border:1px solid #d5dbe3;border-radius:8px;padding:.4rem .9rem;min-width:6rem}
.counts b{display:block;font-size:1.4rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e3e8ee}td.number,th.number{text-align:right}
td{overflow-wrap:anywhere}td.number,td.word{overflow-wrap:normal}
th button{font:inherit;font-weight:700;color:inherit;background:none;border:0;padding:0;cursor:pointer;
 white-space:nowrap}
th button::after{content:" \\2195";color:#5b6776}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
fieldset{border:1px solid #d5dbe3;border-radius:8px;display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:1rem 0}
.open{font:inherit;color:#0b5cad;background:none;border:0;padding:0;cursor:pointer;text-align:left;
 text-decoration:underline}
.open img,.open .none{display:block;width:56px;height:56px;background:#10151c;object-fit:contain}
td small{display:block;font-size:.75rem;line-height:1.1;color:#6b3f00}
.refer{color:#8a3b00;font-weight:600}
dialog{border:1px solid #d5dbe3;border-radius:8px;max-width:44rem;width:90vw}
dialog img{width:100%;max-height:70vh;object-fit:contain;background:#10151c}
dialog p{white-space:pre-line;overflow-wrap:anywhere}
"""
# Sorts the tables by a click on a head, hides what is not of the chosen decision, opens a slice. A number sorts as one.
SCRIPT = """
const collate = new Intl.Collator("en", {numeric: true}).compare;
function compare(a, b) {
  if (!a.classList.contains("number")) return collate(a.textContent, b.textContent);
  const [x, y] = [a, b].map(cell => cell.textContent === "" ? -1 : Number(cell.textContent));
  return x - y;
}
for (const button of document.querySelectorAll("th button")) button.addEventListener("click", () => {
  const head = button.closest("th"), table = head.closest("table"), body = table.tBodies[0];
  const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
  const at = head.cellIndex;
  body.append(...[...body.rows].sort((a, b) => sign * compare(a.cells[at], b.cells[at])));
});
for (const input of document.querySelectorAll("input[name=decision]")) input.addEventListener("change", () => {
  for (const row of document.querySelectorAll("tr[data-decision]"))
    row.hidden = input.value !== "all" && row.dataset.decision !== input.value;
});
const dialog = document.querySelector("dialog");
for (const button of document.querySelectorAll("button.open")) button.addEventListener("click", () => {
  const row = button.closest("tr"), small = row.querySelector("img"), large = dialog.querySelector("img");
  large.hidden = !small;
  if (small) { large.src = small.src; large.alt = small.alt; }
  dialog.querySelector("p").textContent = row.dataset.told + (small ? "" : "\\nThere is no map to draw.");
  dialog.showModal();
});
dialog.querySelector("button").addEventListener("click", () => dialog.close());
"""
_HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
POLICY = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'"
