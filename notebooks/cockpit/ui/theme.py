"""Colours and style of the cockpit, in JupyterLab light and dark.

Data has the colours of Okabe and Ito, which colour-blind people can distinguish; everything else uses
JupyterLab's variables, so that it follows the theme.
"""

from __future__ import annotations

import ipywidgets as widgets

BLUE, ORANGE, GREEN, VERMILLION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
# Lines and dots use the three with a contrast of 3:1 on white and on JupyterLab's dark background.
RATE = TYPICAL = GREEN
WORST = VERMILLION
OWN = PURPLE
GREY = "#8a8f98"  # readable on white and on black

STYLE = """
<style>
.cockpit { --cockpit-line: var(--jp-border-color2, #ddd); color: var(--jp-ui-font-color1, #222);
  font-family: var(--jp-ui-font-family, system-ui, sans-serif); }
.cockpit .widget-html-content { line-height: 1.35; }
.cockpit .cockpit-card { border: 1px solid var(--cockpit-line); border-radius: 10px; padding: 10px 12px;
  background: var(--jp-layout-color1, #fff); overflow: visible; }
.cockpit h4 { margin: 0 0 4px; font-size: 11px; font-weight: 600; letter-spacing: .08em; text-transform: uppercase;
  color: var(--jp-ui-font-color2, #666); }
.cockpit .jupyter-button { border-radius: 7px; height: 32px; line-height: 30px; font-weight: 600; }
.cockpit .cockpit-points .jupyter-button { height: 40px; line-height: 38px; font-size: 16px;
  font-variant-numeric: tabular-nums; }
.cockpit .bqplot svg text, .cockpit .bqplot .axislabel, .cockpit .bqplot .legend text {
  fill: var(--jp-ui-font-color1, #222) !important; }
.cockpit .bqplot .axis line, .cockpit .bqplot .axis path { stroke: var(--cockpit-line); }
.cockpit .bqplot .tick text { fill: var(--jp-ui-font-color2, #666); font-size: 11px; }
.cockpit .bqplot .grid_lines .tick line { stroke: var(--jp-border-color2, #ddd); opacity: .45; }
.cockpit .bqplot text.mainheading { font-size: 13px; font-weight: 600; }
.cockpit .widget-hprogress > .progress { height: 6px; margin: 3px 0 0; border-radius: 3px; }
.cockpit-frame { border: 0; width: 100%; border-radius: 8px; display: block; }
.cockpit-dark, [data-jp-theme-light="false"] .cockpit-light { display: none; }
[data-jp-theme-light="false"] .cockpit-dark { display: block; }
.cockpit-unreached { line-height: 0; }
.cockpit-unreached div { line-height: 1.35; }
.cockpit-strip { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: baseline; font-size: 13px; }
.cockpit-strip b { font-size: 17px; font-variant-numeric: tabular-nums; font-weight: 650; }
.cockpit-strip span { color: var(--jp-ui-font-color2, #666); white-space: nowrap; }
.cockpit-strip a { color: var(--jp-content-link-color, #0072b2); }
.cockpit-status-light { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 7px;
  flex: none; }
.cockpit-state { font-size: 13px; font-weight: 600; min-height: 36px; display: flex; align-items: center; }
.cockpit-words { font-size: 13px; color: var(--jp-ui-font-color2, #666); font-variant-numeric: tabular-nums;
  min-height: 70px; }
.cockpit-trouble { border: 1px solid #d55e00; border-left-width: 6px; border-radius: 8px; padding: 8px 12px;
  white-space: pre-wrap; color: var(--jp-ui-font-color1, #222); font-size: 13px; }
.cockpit-trouble b { color: #d55e00; }
.cockpit-caption { font-size: 22px; font-weight: 650; line-height: 1.25; }
.cockpit-note { font-size: 14px; color: var(--jp-ui-font-color2, #666); }
.cockpit .cockpit-text .widget-html-content, .cockpit .cockpit-text { height: auto; }
.cockpit-seen { font-size: 13px; color: #009e73; font-weight: 600; min-height: 18px; }
.cockpit-tabs { display: flex; gap: 8px; }
.cockpit-tab { border: 1px solid var(--cockpit-line); border-radius: 8px; padding: 4px 10px; min-width: 104px;
  font-size: 12px; }
.cockpit-tab b { display: block; font-size: 14px; }
.cockpit-tab i { font-style: normal; font-variant-numeric: tabular-nums; }
</style>
"""


def status_light(color: str) -> str:
    """A small round light, as HTML."""
    return f'<i class="cockpit-status-light" style="background:{color}"></i>'


def card(title: str, *children: widgets.Widget, **layout: str) -> widgets.VBox:
    """A group of widgets under a small heading."""
    heading = widgets.HTML(f"<h4>{title}</h4>")
    box = widgets.VBox([heading, *children], layout=widgets.Layout(**layout))
    box.add_class("cockpit-card")
    return box
