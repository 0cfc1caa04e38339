"""The few pieces of HTML that Streamlit has no element for. Whatever comes from outside is escaped here."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from html import escape

STYLE = """<style>
.block-container{max-width:1180px;padding-top:1.6rem;padding-bottom:3rem}
[data-testid="stHeader"]{background:transparent;height:1.5rem}
[data-testid="stCaptionContainer"] *,[data-testid="stImageCaption"] *,[data-testid="stWidgetLabel"] p{
 color:#3f4a58!important}
[data-testid="stCaptionContainer"]{opacity:1}
.ls-head{display:flex;flex-wrap:wrap;align-items:baseline;gap:.2rem .9rem;margin:0}
.ls-head h1{font-size:1.7rem;font-weight:700;padding:0;margin:0;letter-spacing:-.01em}
.ls-head span{color:#3f4a58}
.ls-head .ls-notice{color:#6b3f00;background:#fff4d6;border-radius:6px;padding:.15rem .6rem;font-size:.88rem;
 font-weight:600}
.ls-state{display:flex;align-items:center;justify-content:flex-end;gap:.55rem;padding-bottom:.35rem;font-size:.92rem;
 color:#1b2430}
.ls-dot{width:.7rem;height:.7rem;border-radius:50%;flex:none}
.ls-decision{border-left:5px solid;border-radius:6px;padding:.6rem .9rem;margin:0}
.ls-decision b{font-size:1.2rem;display:block}
.ls-refer{background:#fff0e2;border-color:#b34700;color:#5c2500}
.ls-report{background:#edf1f6;border-color:#4a5a6d;color:#1b2430}
.ls-class{font-size:.9rem;color:#3f4a58;margin:0}
.ls-class b{display:block;font-size:1.7rem;line-height:1.25;color:#1b2430}
ul.ls-bars{margin:0!important;padding:0!important;list-style:none}
ul.ls-bars li{display:grid;grid-template-columns:5.2rem 1fr 3.4rem;align-items:center;gap:.6rem;
 margin:0 0 .45rem!important;padding:0}
.ls-bars i{display:block;height:.85rem;border-radius:4px;background:#e4e9ef;overflow:hidden}
.ls-bars i>i{background:#7b8794;border-radius:0}
.ls-bars .ls-top i>i{background:#0b5cad}.ls-bars .ls-top{font-weight:650}
.ls-bars small{display:block;font-size:.72rem;line-height:1;color:#6b3f00}
.ls-bars em{font-style:normal;text-align:right;font-variant-numeric:tabular-nums}
.ls-facts{display:grid;grid-template-columns:max-content 1fr;gap:.25rem .9rem;margin:0;font-size:.92rem}
.ls-facts dt{font-weight:650}.ls-facts dd{margin:0}
.ls-scale{font-size:.85rem;color:#3f4a58;display:flex;flex-wrap:wrap;justify-content:space-between}
.ls-scale i{flex:0 0 100%;height:.8rem;border-radius:4px;border:1px solid #c3ccd6;margin-bottom:.15rem}
@media (max-width:1000px){
 .ls-state{justify-content:flex-start;padding:0}
 [data-testid="stHorizontalBlock"]:has(>[data-testid="stColumn"] [class*="st-key-aside"]){flex-direction:column}
 [data-testid="stHorizontalBlock"]:has(>[data-testid="stColumn"] [class*="st-key-aside"])>[data-testid="stColumn"]{
  width:100%}
}
</style>"""
READY, WAITING, DOWN = "#2a7540", "#b36b00", "#b3261e"


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


def show_class(label: str, confidence: float) -> str:
    """The predicted class and how sure the model is."""
    return f'<p class="ls-class">Class<b>{escape(label)}</b>Confidence {confidence:.1%}</p>'


def show_bars(probabilities: Mapping[str, float], label: str, never: Collection[str]) -> str:
    """All probabilities as bars; the predicted class stands out, those that are never reported are marked."""
    mark = "<small>never reported</small>"
    lines = (
        f"<li{_top(name == label)}><span>{escape(name)}{mark if name in never else ''}</span>"
        f'<i aria-hidden="true"><i style="width:{share:.2%}"></i></i>'
        f"<em>{share:.1%}</em></li>"
        for name, share in probabilities.items()
    )
    return f'<ul class="ls-bars">{"".join(lines)}</ul>'


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
