"""The site: pages in Markdown, and the pages of `docs/reference`, which `make reference` makes from code.

Build it with `make docs`; a warning is an error.
"""

project = "noisy-teacher-study"
author = "the noisy-teacher-study authors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "generated"]  # the second one is of earlier versions
html_theme = "furo"
html_title = "noisy-teacher-study"
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
