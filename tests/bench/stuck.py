"""What the threads of a program do that has not ended in time, written down before it is killed.

A run that hangs once in hundreds cannot be had again on request: so whoever sees it keeps what there is to see. Called by
`measure`, which waits meanwhile."""

import pathlib
import shutil
import subprocess
import time

# Looks, and the seconds between two: what differs between them moves still.
LOOKS = 3
BETWEEN = 3
FRAMES = 16
DEBUGGER_TIMEOUT = 60


def look(process: subprocess.Popen, file: pathlib.Path) -> pathlib.Path:
    """Writes state, switches and, where there is gdb, stacks of all threads of the program under `measure`, a few times.
    Returns the file; never fails because of what it could not read."""
    with file.open("w") as out:
        try:
            child = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        except (IndexError, OSError):
            out.write("the program has ended, and only what measures it is left\n")
            return file
        for number in range(LOOKS):
            if number:
                time.sleep(BETWEEN)
            out.write(f"==== look {number + 1}, {time.strftime('%H:%M:%S')}\n")
            threads(child, out)
            stacks(child, out)
    return file


def threads(child: str, out) -> None:
    for thread in sorted(pathlib.Path(f"/proc/{child}/task").iterdir(), key=lambda path: int(path.name)):
        try:
            status = dict(line.split(":", 1) for line in (thread / "status").read_text().splitlines() if ":" in line)
            words = [status[name].strip() for name in ("State", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches")]
            out.write(f"{thread.name} {status['Name'].strip()}: {', '.join(words)}, in {(thread / 'wchan').read_text()}\n")
        except (KeyError, OSError) as error:
            out.write(f"{thread.name}: {error}\n")


def stacks(child: str, out) -> None:
    gdb = shutil.which("gdb")
    if not gdb:
        out.write("there is no gdb to see stacks with\n")
        return
    command = [gdb, "-p", child, "-batch", "-ex", f"thread apply all bt {FRAMES}"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEBUGGER_TIMEOUT)
        out.write(done.stdout + done.stderr)
    except subprocess.TimeoutExpired:
        out.write("gdb did not answer\n")
