"""Raw artefacts to the vendor-neutral model of a device: pure, one module a format, strict.

Whatever stands in an artefact is modelled, shown irrelevant, or kept as an unknown with its place.
"""
