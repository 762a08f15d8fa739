"""Pictures of one study, drawn with matplotlib; one module per kind, styled in `style`, gathered in `pictures`.

Importing this package costs nothing: matplotlib is loaded by the modules that draw.
"""
