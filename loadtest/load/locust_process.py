"""`python -P locust_process.py OPTIONS`: Locust, with these options alone.

`python -m locust` adds the options of a locust.conf in the home folder and of a locust.conf or pyproject.toml in the
current one, which belong to other tests.
"""

from __future__ import annotations

if __name__ == "__main__":
    from locust import argument_parser, main

    for parser in (argument_parser.get_empty_argument_parser, argument_parser.get_parser):
        # It has no option for this; the files are named by the default of the one parameter that differs.
        files = argument_parser.DEFAULT_CONFIG_FILES
        parser.__defaults__ = tuple(() if default == files else default for default in parser.__defaults__ or ())
    main.main()  # type: ignore[no-untyped-call]
