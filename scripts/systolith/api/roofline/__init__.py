# SPDX-License-Identifier: Apache-2.0
"""The roofline report: figures of a compiled network, as a page, as JSON and as text.

:func:`~systolith.api.roofline.figures.roofline_figures` computes everything; the page and the text only show it.
"""
