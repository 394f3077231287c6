"""``python -m libkarafka run module:app``: runs an app as the whole of a program.

Used on the main thread. Ends with 0 when the app has stopped, with 1 on an error, with 2 when handlers had to be left
behind, with 3 when the parent of the process is gone; with 64 for wrong arguments, and with 78 for an app that is not there
or has wrong options.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import Any, NoReturn

from . import App, ConfigError, Error, __version__

_USAGE = 64
_CONFIGURATION = 78


class _Arguments(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


class _Refused(Exception):
    pass


def find(place: str) -> App:
    """The app at ``module:name``, or what a function of that name returns."""
    name, _, path = place.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Of this module, or of one that it imports itself?
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        tried = ", ".join(entry or os.getcwd() for entry in sys.path)
        raise _Refused(f"there is no module {error.name}; looked for it in {tried}") from None
    except (TypeError, ValueError):
        if name and not name.startswith("."):
            raise
        raise _Refused(f"{place!r} is no app: it looks like module:app") from None
    found: Any = module
    try:
        for part in (path or "app").split("."):
            found = getattr(found, part)
    except AttributeError:
        raise _Refused(f"{module.__name__} has no {path or 'app'}") from None
    if callable(found) and not isinstance(found, App):
        found = found()
    if not isinstance(found, App):
        raise _Refused(f"{place} is no App, but {type(found).__name__}")
    return found


def main(words: list[str] | None = None) -> int:
    """Runs the command, and returns the status to end with."""
    arguments = _Arguments(prog="python -m libkarafka", description="Process Apache Kafka topics in parallel.")
    arguments.add_argument("--version", action="version", version=f"libkarafka {__version__}")
    commands = arguments.add_subparsers(dest="command", required=True, parser_class=_Arguments)
    run = commands.add_parser(
        "run",
        help="run an app until a signal stops it",
        description="Runs an app. TERM, INT and QUIT stop it gracefully, a second one at once; TSTP has it quiet, CONT goes "
        "on, TTIN says what every worker does.",
        epilog="Ends with 0 when the app has stopped, 1 on an error, 2 when handlers had to be left behind, 3 when the parent "
        "of the process is gone, 64 for wrong arguments, 78 for an app that is not there or has wrong options.",
    )
    run.add_argument("app", metavar="MODULE:APP", help="where the App is, or a function that makes it; MODULE alone: its app")
    given = arguments.parse_args(words)
    try:
        find(given.app).run(signals=True)
    except (_Refused, ConfigError) as refused:
        return _say(refused, _CONFIGURATION)
    except Error as error:
        return _say(error, error.exit_code)
    return 0


def _say(error: Exception, status: int) -> int:
    print(f"libkarafka: {error}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
