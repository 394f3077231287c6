"""A child that was forked in a handler and comes back from it.

Called on the thread of the handler, in the child. The thread belongs to the parent's app, and nobody else is there to end the
child: it ends as a program does whose main function came to its end.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import NoReturn


def end_child(error: BaseException | None) -> NoReturn:
    """Ends the process: with what ``sys.exit`` said, with 1 after another exception, which is printed, else with 0."""
    code = 0
    if isinstance(error, SystemExit):
        if isinstance(error.code, int):
            code = error.code & 0xFF
        elif error.code is not None:
            print(error.code, file=sys.stderr)
            code = 1
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # Closed, or nobody reads it: there is nobody else to tell.
            continue
    # What runs at an orderly end is the parent's.
    os._exit(code)
