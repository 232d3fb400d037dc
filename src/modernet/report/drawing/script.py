"""The JavaScript that draws charts in a page."""

from __future__ import annotations

import functools


@functools.cache
def vega_script() -> str:
    """Return Vega and vega-embed as one script of about 0.9 MB, which defines `vegaEmbed`; takes a second once."""
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script.replace("</script", "<\\/script")
