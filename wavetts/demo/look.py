"""Colours and fonts of the page. All text has a contrast of at least 4.5 to its background, in both themes."""

from __future__ import annotations

import gradio as gr

_LIGHT = {
    "page": "#f6f7f8", "panel": "#ffffff", "field": "#ffffff", "line": "#d5dbe1", "text": "#16202a", "soft": "#55616d",
    "accent": "#0f766e", "hover": "#115e59", "on_accent": "#ffffff", "button": "#e8ecef", "button_hover": "#dbe1e6",
}  # fmt: skip
_DARK = {
    "page": "#0f1419", "panel": "#171d24", "field": "#1d252d", "line": "#303a45", "text": "#e8edf2", "soft": "#9fabb8",
    "accent": "#2dd4bf", "hover": "#5eead4", "on_accent": "#06231f", "button": "#27313b", "button_hover": "#323e4a",
}  # fmt: skip
# Gradio's theme variables and their colours.
_USES = {
    "page": ["body_background_fill", "background_fill_secondary", "table_odd_background_fill"],
    "panel": [
        "block_background_fill", "background_fill_primary", "panel_background_fill", "block_label_background_fill",
        "block_title_background_fill", "table_even_background_fill", "checkbox_label_background_fill",
    ],
    "field": ["input_background_fill", "input_background_fill_focus", "checkbox_background_color"],
    "line": [
        "border_color_primary", "border_color_accent", "block_border_color", "input_border_color",
        "checkbox_border_color", "checkbox_label_border_color", "panel_border_color", "table_border_color",
        "button_secondary_border_color",
    ],
    "text": [
        "body_text_color", "block_title_text_color", "block_label_text_color", "checkbox_label_text_color",
        "checkbox_label_text_color_selected", "button_secondary_text_color", "button_secondary_text_color_hover",
        "accordion_text_color", "table_text_color", "code_background_fill",
    ],
    "soft": ["body_text_color_subdued", "block_info_text_color", "input_placeholder_color"],
    "accent": [
        "link_text_color", "link_text_color_visited", "button_primary_background_fill", "button_primary_border_color",
        "slider_color", "color_accent", "input_border_color_focus", "checkbox_background_color_selected",
        "checkbox_border_color_selected", "loader_color",
    ],
    "hover": [
        "link_text_color_hover", "link_text_color_active", "button_primary_background_fill_hover",
        "button_primary_border_color_hover",
    ],
    "on_accent": ["button_primary_text_color", "button_primary_text_color_hover"],
    "button": [
        "button_secondary_background_fill", "checkbox_label_background_fill_selected", "color_accent_soft",
    ],
    "button_hover": [
        "button_secondary_background_fill_hover", "checkbox_label_background_fill_hover", "table_row_focus",
    ],
}  # fmt: skip


def theme() -> gr.Theme:
    """Gradio's base theme in these colours, with system fonts, so that no font is downloaded."""
    fonts = ["ui-sans-serif", "system-ui", "sans-serif"], ["ui-monospace", "Consolas", "monospace"]
    plain, mono = ([gr.themes.Font(name) for name in names] for names in fonts)
    base = gr.themes.Base(
        primary_hue="teal", neutral_hue="slate", font=plain, font_mono=mono, radius_size="lg", text_size="md"
    )
    known = vars(base)
    colours = {
        name + suffix: colours[use]
        for use, names in _USES.items()
        for name in names
        for suffix, colours in (("", _LIGHT), ("_dark", _DARK))
        if name + suffix in known
    }
    return base.set(**colours, input_border_width="1px", block_shadow="none", block_shadow_dark="none")
