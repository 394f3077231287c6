"""Runs every example of docs/options, docs/producer, docs/admin and docs/schedule: run.py [words] runs those of pages whose names contain one of the words.

A page has fenced blocks of C, Ruby and Python under "## Example", each a whole program on the broker inside the process; it has
to end with 0. Rust's blocks are doctests of the crate karafka. Called by run.sh, which builds what they need.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / folder for folder in ("options", "producer", "admin", "schedule")]
BUILT = pathlib.Path(os.environ["BUILT"])
STAGE = pathlib.Path(os.environ["STAGE"])
LANGUAGES = ("rust", "c", "ruby", "python")
# An example that waits for something that does not come has to end, too.
LIMIT_SECONDS = 60
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page: pathlib.Path) -> list[tuple[str, str]]:
    """The blocks of a page's example, language and text."""
    text = page.read_text()
    found = re.search(r"^## Example\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return BLOCK.findall(found.group(1)) if found else []


def command(language: str, name: str, text: str) -> list[str]:
    """What runs an example, after it was written down and compiled."""
    if language == "python":
        return [sys.executable, "-W", "error", "-c", text]
    if language == "ruby":
        return ["ruby", "-w", "-e", text]
    source, program = STAGE / f"{name}.c", STAGE / name
    source.write_text(text)
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", f"-I{ROOT / 'include'}", f"-I{PAGES[0]}"]
    libraries = [f"-L{BUILT}", f"-Wl,-rpath,{STAGE}", "-lkarafka", "-lpthread"]
    subprocess.run(["cc", *flags, str(source), *libraries, "-o", str(program)], check=True, capture_output=True, text=True)
    return [str(program)]


def run(page: pathlib.Path, number: int, language: str, text: str) -> str | None:
    """What went wrong with an example, if anything."""
    where = f"{page.relative_to(ROOT)}: {language}"
    try:
        done = subprocess.run(
            command(language, f"{page.stem}-{number}", text),
            check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS, stdin=subprocess.DEVNULL,
        )
    except subprocess.CalledProcessError as error:
        return f"{where} does not compile:\n{error.stderr}"
    except subprocess.TimeoutExpired as error:
        return f"{where} did not end within {LIMIT_SECONDS} s; it said:\n{error.stdout or b''!r}\n{error.stderr or b''!r}"
    if done.returncode != 0:
        return f"{where} ended with {done.returncode}; it said:\n{done.stdout}\n{done.stderr}"
    return None


def main(words: list[str]) -> int:
    """Runs all examples, two at a time, and tells what failed."""
    found = [page for folder in PAGES for page in sorted(folder.glob("*.md"))]
    pages = [page for page in found if not words or any(word in str(page.relative_to(ROOT)) for word in words)]
    problems, jobs = [], []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for page in pages:
            blocks = examples(page)
            if [language for language, _ in blocks] != list(LANGUAGES):
                problems.append(f"{page.relative_to(ROOT)} has to have one example each in {', '.join(LANGUAGES)}, in this order")
            runnable = [(language, text) for language, text in blocks if language in LANGUAGES[1:]]
            jobs += [pool.submit(run, page, number, *block) for number, block in enumerate(runnable)]
        problems += filter(None, (job.result() for job in jobs))
    for problem in problems:
        print(f"FAILED: {problem}")
    print(f"{len(jobs)} examples of {len(pages)} pages, {len(problems)} problems")
    return 1 if problems or not jobs else 0


sys.exit(main(sys.argv[1:]))
