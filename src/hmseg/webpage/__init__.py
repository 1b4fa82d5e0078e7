"""The page of ``python -m hmseg.app``: segment pictures of one's own, on this machine alone.

Made with Starlette and a page of our own because Gradio writes uploads into a cache on disk that it serves
back under ``/file=``, and lets its page load from other hosts.

``limits`` says what may come in, ``state`` what is remembered, ``work`` what is computed, ``layers`` draws
it, ``guard`` and ``server`` answer the browser; ``static`` is the page.
"""
