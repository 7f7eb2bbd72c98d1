"""The report as one HTML page that needs nothing else.

`page.write_page` writes it from the numbers of `comparison` and the figures of `figures`; it computes
neither.
"""
