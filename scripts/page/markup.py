"""The few pieces of HTML that Streamlit has no element for. Whatever comes from outside is escaped here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape

from lungct_tools.folder.modelfacts import NEVER

# Each colour twice, for the light theme and the dark one: Streamlit sets color-scheme on .stApp. Text has 4.5:1 on its
# ground in both (WCAG 1.4.3), which a test measures in Chromium. The uploader's own words about limits are hidden: of
# 512 MB they make "1GB per file". What tells of another slice than the viewer shows, which is ahead of us, fades.
STYLE = """<style>
.stApp{--ls-text:light-dark(#1b2430,#eef2f6);--ls-muted:light-dark(#3f4a58,#b9c4d0);--ls-line:light-dark(#c3ccd6,#4a5563);
 --ls-ground:light-dark(#edf1f6,#222a35);--ls-track:light-dark(#e4e9ef,#303946);--ls-other:light-dark(#7b8794,#8d99a8);
 --ls-top:light-dark(#0b5cad,#5aa2e8);--ls-warm:light-dark(#6b3f00,#ffcf8a);--ls-warm-ground:light-dark(#fff4d6,#3a2a0c);
 --ls-refer:light-dark(#5c2500,#ffc9a3);--ls-refer-ground:light-dark(#fff0e2,#3b1f0e);--ls-refer-edge:light-dark(#b34700,#e8803a)}
.block-container{max-width:1340px;padding:1rem 1.5rem 3rem}
[data-testid="stHeader"]{background:transparent;height:1.5rem}
[data-testid="stHeader"],[data-testid="stToolbar"]{pointer-events:none}
[data-testid="stToolbar"] button{pointer-events:auto}
[data-testid="stMainBlockContainer"]>[data-testid="stVerticalBlock"],.st-key-slice{gap:.6rem}
[data-testid="stCaptionContainer"] *,[data-testid="stImageCaption"] *,[data-testid="stWidgetLabel"] p{
 color:var(--ls-muted)!important}
[data-testid="stCaptionContainer"]{opacity:1}
[data-testid="stFileUploaderDropzoneInstructions"] span{font-size:0}
[data-testid="stFileUploaderDropzoneInstructions"] span::after{content:"or drop them here";font-size:.9rem;
 color:var(--ls-muted)}
[data-testid="stVegaLiteChart"] text{fill:var(--ls-muted)!important}
[data-testid="stBaseButton-primary"]:not([disabled]) *{color:light-dark(#fff,#0b1622)}
.st-key-notes{background:var(--ls-warm-ground);border-radius:6px;padding:.35rem .9rem;gap:.2rem}
.st-key-notes:empty{display:none}.st-key-notes [data-testid="stMarkdownContainer"]{margin:0}
.st-key-notes p{color:var(--ls-warm);font-size:.9rem;line-height:1.3;margin:0}
.ls-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem .9rem;margin:0}
.ls-head h1{font-size:1.5rem;font-weight:700;padding:0;margin:0;letter-spacing:-.01em}
.ls-head span{color:var(--ls-muted)}
.ls-head .ls-notice{color:var(--ls-warm);background:var(--ls-warm-ground);border-radius:6px;padding:.15rem .6rem;
 font-size:.88rem;font-weight:600}
.ls-state{display:flex;align-items:center;justify-content:flex-end;gap:.55rem;padding:0 1.4rem .35rem 0;
 font-size:.92rem;color:var(--ls-text)}
.ls-dot{width:.7rem;height:.7rem;border-radius:50%;flex:none}
.ls-verdict{color:var(--ls-text);background:var(--ls-ground);border-radius:6px;padding:.35rem .9rem;margin:0;
 font-size:.95rem}
.ls-verdict details{display:inline;color:var(--ls-muted)}.ls-verdict details[open]{display:block}
.ls-verdict summary{display:inline-block;cursor:pointer;text-decoration:underline;margin-left:.5rem}
.ls-decision{border-left:5px solid;border-radius:6px;padding:.45rem .8rem;margin:0;font-size:.92rem;line-height:1.4}
.ls-decision b{font-size:1.15rem;display:block}
.ls-refer{background:var(--ls-refer-ground);border-color:var(--ls-refer-edge);color:var(--ls-refer)}
.ls-report{background:var(--ls-ground);border-color:var(--ls-other);color:var(--ls-text)}
.ls-class{font-size:.9rem;color:var(--ls-muted);margin:0}
.ls-class b{font-size:1.5rem;line-height:1.2;color:var(--ls-text);margin:0 .7rem 0 .4rem}
ul.ls-bars{margin:0!important;padding:0!important;list-style:none;color:var(--ls-text)}
ul.ls-bars li{display:grid;grid-template-columns:5.4rem 1fr 3.4rem;align-items:center;gap:.6rem;font-size:.92rem;
 margin:0 0 .25rem!important;padding:0}
.ls-bars i{display:block;height:.8rem;border-radius:4px;background:var(--ls-track);overflow:hidden}
.ls-bars i>i{background:var(--ls-other);border-radius:0}
.ls-bars .ls-top i>i{background:var(--ls-top)}.ls-bars .ls-top{font-weight:650}
.ls-bars small{display:block;font-size:.72rem;line-height:1;color:var(--ls-warm)}
.ls-bars em{font-style:normal;text-align:right;font-variant-numeric:tabular-nums}
ul.ls-warnings{margin:0!important;padding:.25rem .8rem!important;list-style:none;border-radius:6px;font-size:.82rem;
 line-height:1.3;color:var(--ls-warm);background:var(--ls-warm-ground)}
ul.ls-warnings li{margin:0!important;padding:0}
.ls-facts{display:grid;grid-template-columns:max-content 1fr;gap:.25rem .9rem;margin:0;font-size:.92rem;
 color:var(--ls-text)}
.ls-facts dt{font-weight:650}.ls-facts dd{margin:0}
.ls-scale{font-size:.85rem;color:var(--ls-muted);display:flex;flex-wrap:wrap;justify-content:space-between}
.ls-scale i{flex:0 0 100%;height:.8rem;border-radius:4px;border:1px solid var(--ls-line);margin-bottom:.15rem}
.ls-following .st-key-slice:has(iframe) :is(.st-key-aside,.st-key-reading,.st-key-which,.st-key-legend,.st-key-keep){
 opacity:.2;pointer-events:none}
@media (max-width:1000px){
 .ls-state{justify-content:flex-start;padding:0}
 [data-testid="stHorizontalBlock"]:has(>[data-testid="stColumn"] [class*="st-key-aside"]){flex-direction:column}
 [data-testid="stHorizontalBlock"]:has(>[data-testid="stColumn"] [class*="st-key-aside"])>[data-testid="stColumn"]{
  width:100%}
}
</style>"""
# Drawn here: an icon by name would be fetched from its makers.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#2f7fd0" stroke-width="2">'
    '<path d="M12 3v8l-2 2M12 11l2 2M8 6C5 7 3 13 3 18c0 3 6 2 6-2V8q0-2-1-2zm8 0c3 1 5 7 5 12 0 3-6 2-6-2V8q0-2 1-2"/>'
    "</svg>"
)
READY, WAITING, DOWN = "#2e8b4a", "#c07a10", "#d64036"  # 3:1 on both themes


def plain(text: str) -> str:
    """Text for st.markdown that stays text: a file's name could hold a picture that the browser would fetch."""
    return re.sub(r"([\\`*_~\[\]<>$&:])", r"\\\1", text)


def show_head(notice: str) -> str:
    """Name, what it is, and the notice."""
    return (
        f'<div class="ls-head"><h1>LungServe</h1><span>Lung-CT slice classifier</span>'
        f'<span class="ls-notice">{escape(notice)}</span></div>'
    )


def show_state(sentence: str, colour: str) -> str:
    """The server's state: a dot for the eye, the sentence for everybody."""
    words = re.sub("`(.+?)`", r"<code>\1</code>", escape(sentence))
    return (
        f'<div class="ls-state" role="status"><span class="ls-dot" style="background:{colour}" aria-hidden="true">'
        f"</span><span>Server: {words}</span></div>"
    )


def show_decision(decision: str, headline: str, reason: str) -> str:
    """The decision, first and plain."""
    kind = "refer" if decision == "refer" else "report"
    return f'<div class="ls-decision ls-{kind}" role="status"><b>{escape(headline)}</b>{escape(reason)}</div>'


def show_verdict(name: str, told: str, asked: str, answer: str) -> str:
    """What all slices come to, in a line, and on request by what rule."""
    return (
        f'<div class="ls-verdict" role="status"><b>{escape(name)}.</b> {escape(told)}'
        f"<details><summary>{escape(asked)}</summary>{escape(answer)}</details></div>"
    )


def show_warnings(warnings: Sequence[str]) -> str:
    """What speaks against relying on an answer, a line each."""
    lines = "".join(f"<li>\u26a0 {escape(warning)}</li>" for warning in warnings)
    return f'<ul class="ls-warnings" aria-label="Warnings">{lines}</ul>'


def show_class(label: str, confidence: float) -> str:
    """The predicted class and how sure the model is."""
    return f'<p class="ls-class">Class<b>{escape(label)}</b>Confidence {confidence:.1%}</p>'


def show_bars(probabilities: Mapping[str, float], label: str, never: Collection[str]) -> str:
    """All probabilities as bars; the predicted class stands out, those that are never reported are marked."""
    mark = f"<small>{NEVER}</small>"
    lines = (
        f"<li{_top(name == label)}><span>{escape(name)}{mark if name in never else ''}</span>"
        f'<i aria-hidden="true"><i style="width:{share:.2%}"></i></i>'
        f"<em>{share:.1%}</em></li>"
        for name, share in probabilities.items()
    )
    return f'<ul class="ls-bars" aria-label="Probabilities">{"".join(lines)}</ul>'


def show_facts(facts: Mapping[str, str]) -> str:
    """What is known of the model, a line a fact."""
    lines = (f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    return f'<dl class="ls-facts">{"".join(lines)}</dl>'


def show_scale(colours: Sequence[str], name: str) -> str:
    """The colour bar of a map."""
    return (
        f'<div class="ls-scale" role="img" aria-label="Colour bar from low to high importance for {escape(name)}">'
        f'<i style="background:linear-gradient(90deg,{",".join(colours)})"></i>'
        f"<span>low</span><span>high importance for {escape(name)}</span></div>"
    )


def _top(top: bool) -> str:
    return ' class="ls-top"' if top else ""
