"""The programs that are measured, built for release: the cargo packages first, then what is linked against them.

A program that cannot be built is in the answer all the same, with the reason in place of its command."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# What each program of ours needs from cargo.
PACKAGES = {"rust": "libkarafka-tests", "c": "karafka-ffi", "receiving": "karafka-ffi", "ruby": "libkarafka",
            "python": "libkarafka-python", "transforming": "libkarafka-tests", "producing-rust": "libkarafka-tests", "producing-c": "karafka-ffi",
            "producing-ruby": "libkarafka", "producing-python": "libkarafka-python"}

SONAME = "libkarafka.so.0"

# Where librdkafka's own libraries come from, and what it allocates with.
LINKED = ("rdkafka-sys", "zstd-sys", "openssl-sys", "libz-sys", "karafka", "libmimalloc-sys")

# What librdkafka calls in place of libc's functions, with this before the name; see .cargo/config.toml.
ALLOCATOR = "karafka_"
ALLOCATING = ("malloc", "calloc", "realloc", "free", "strdup", "strndup")


class NotBuilt(Exception):
    """Why a program is missing."""


@dataclasses.dataclass
class Program:
    command: list[str] = dataclasses.field(default_factory=list)
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    missing: str = ""
    # What librdkafka in it allocates with, where that is known.
    allocator: str = ""


@dataclasses.dataclass
class Cargo:
    """What a build by cargo left behind."""

    executables: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    libraries: dict[str, pathlib.Path] = dataclasses.field(default_factory=dict)
    # By package: what its build script asks the linker for.
    scripts: dict[str, dict] = dataclasses.field(default_factory=dict)

    def version(self, package: str) -> str:
        return self.scripts[package]["package_id"].rpartition("@")[2]


def target() -> pathlib.Path:
    text = run(["cargo", "metadata", "--format-version=1", "--no-deps", "--offline"])
    return pathlib.Path(json.loads(text)["target_directory"])


def kafka_version() -> str:
    """Of the Kafka that run.sh starts when no other is given."""
    if os.environ.get("BROKERS"):
        return "unknown (given by BROKERS)"
    jars = [path.stem for path in (ROOT / ".deps/kafka/lib").glob("kafka-clients-*.jar")]
    return jars[0].rpartition("-")[2] if jars else "unknown"


def run(command: list, **options) -> str:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode != 0:
        raise NotBuilt(f"{' '.join(map(str, command[:4]))} ... ended with {done.returncode}:\n{done.stderr[-1500:]}")
    return done.stdout


def package_name(package_id: str) -> str:
    """`path+file:///x/core#karafka@0.1.0`, or `registry+https://...#openssl-sys@0.9` or `path+file:///x/name#0.1.0`."""
    place, _, fragment = package_id.partition("#")
    return fragment.partition("@")[0] if "@" in fragment else place.rsplit("/", 1)[-1]


def build_cargo(packages: list[str]) -> Cargo:
    """Builds what can be built; what cannot is missing in the answer, and its errors are on the terminal."""
    flags = os.environ.get("CARGO_FLAGS", "--no-default-features --features system-ssl").split()
    command = ["cargo", "build", "--release", "--keep-going", "--message-format=json-render-diagnostics", *flags]
    for package in packages:
        command += ["-p", package]
    # The package of the tests has more programs than these.
    command += ["--lib", "--bin", "bench-fill", "--bin", "bench-reading", "--bin", "bench-producing",
                "--bin", "bench-transforming"]
    print("building for release:", *packages, flush=True)
    environment = os.environ | {"PYO3_BUILD_EXTENSION_MODULE": "1", "CARGO_TERM_PROGRESS_WHEN": "never"}
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    cargo = Cargo()
    for line in done.stdout.splitlines():
        message = json.loads(line)
        name = package_name(message.get("package_id", ""))
        if message["reason"] == "build-script-executed":
            cargo.scripts[name] = message
        elif message["reason"] == "compiler-artifact" and name in packages:
            if message.get("executable"):
                cargo.executables[message["target"]["name"]] = pathlib.Path(message["executable"])
            for file in message["filenames"]:
                if file.endswith((".so", ".dylib")):
                    cargo.libraries[name] = pathlib.Path(file)
    return cargo


def build_all(wanted: set[str], out: pathlib.Path) -> dict[str, Program]:
    """Builds the named programs. The Rust package is always among them: it makes the topic and says how it reads."""
    out.mkdir(parents=True, exist_ok=True)
    packages = sorted({package for program, package in PACKAGES.items() if program in wanted or program == "rust"})
    cargo = build_cargo(packages)
    makers = {
        "fill": lambda: Program([executable(cargo, "bench-fill")]),
        "settings": lambda: Program([executable(cargo, "bench-reading"), "--settings"]),
        "measure": lambda: Program([compile_c(out, "measure")]),
        "rust": lambda: Program([executable(cargo, "bench-reading")]),
        "raw-same": lambda: raw(cargo, out, "raw", "raw-same"),
        "raw-defaults": lambda: raw(cargo, out, "raw", "raw-defaults", is_libc=True),
        "polling": lambda: raw(cargo, out, "polling", "polling", is_libc=True),
        "engine": engine,
        "free-tasks": free_tasks,
        "sleeping-c": lambda: Program([compile_c(out, "sleeping")]),
        "sleeping-ruby": lambda: Program([tool("ruby"), str(HERE / "ruby/sleeping.rb")]),
        "sleeping-python": lambda: Program([sys.executable, str(HERE / "python/sleeping.py")]),
        "c": lambda: c(cargo, out, "reading"),
        "receiving": lambda: c(cargo, out, "receiving"),
        "ruby": lambda: ruby(cargo, out, "reading"),
        "python": lambda: python(cargo, out, "reading"),
        "producing-raw": lambda: raw(cargo, out, "producing_raw", "producing-raw"),
        "producing-rust": lambda: Program([executable(cargo, "bench-producing")]),
        "transforming": lambda: Program([executable(cargo, "bench-transforming")]),
        "producing-c": lambda: c(cargo, out, "producing"),
        "producing-ruby": lambda: ruby(cargo, out, "producing"),
        "producing-python": lambda: python(cargo, out, "producing"),
    }
    programs = {}
    for name in ["fill", "settings", "measure", *sorted(wanted)]:
        try:
            programs[name] = makers[name]()
        except NotBuilt as reason:
            programs[name] = Program(missing=str(reason))
    return programs


def executable(cargo: Cargo, name: str) -> str:
    if name not in cargo.executables:
        raise NotBuilt(f"cargo did not build {name}; its errors are above")
    return str(cargo.executables[name])


def library(cargo: Cargo, program: str) -> pathlib.Path:
    package = PACKAGES[program]
    if package not in cargo.libraries:
        raise NotBuilt(f"cargo did not build the library of {package}; its errors are above")
    return cargo.libraries[package]


def tool(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise NotBuilt(f"there is no {name}")
    return path


def compile_c(out: pathlib.Path, source: str, *more, name: str = "") -> str:
    program = out / (name or source)
    source = HERE / "c" / f"{source}.c"
    run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-Wall", "-pthread", source, *more, "-o", program])
    return str(program)


def raw(cargo: Cargo, out: pathlib.Path, source: str, name: str, is_libc: bool = False) -> Program:
    """The reference is linked against the very librdkafka that is inside the libraries it is compared with; at librdkafka's
    defaults it allocates with libc, as librdkafka does when nobody tells it otherwise."""
    libraries, folders = [], []
    for package in LINKED:
        script = cargo.scripts.get(package, {"linked_libs": [], "linked_paths": []})
        libraries += script["linked_libs"]
        folders += [pathlib.Path(path.partition("=")[2]) for path in script["linked_paths"]]
    link, allocator = [], "libc"
    for entry in libraries:
        kind, _, linked = entry.rpartition("=")
        if not kind.startswith("static"):
            link.append(f"-l{linked}")
            continue
        found = [folder / f"lib{linked}.a" for folder in folders if (folder / f"lib{linked}.a").exists()]
        if not found:
            raise NotBuilt(f"there is no lib{linked}.a in {folders}")
        if linked == "rdkafka" and f"{ALLOCATOR}malloc".encode() in found[0].read_bytes():
            if is_libc:
                found[0] = on_libc(found[0], out)
            elif "libmimalloc-sys" in cargo.scripts:
                allocator = f"mimalloc (libmimalloc-sys {cargo.version('libmimalloc-sys')})"
        link.append(found[0])
    header = [folder for folder in folders if (folder / "rdkafka.h").exists()]
    if not header:
        raise NotBuilt(f"there is no rdkafka.h in {folders}")
    group = ["-isystem", header[0], "-Wl,--start-group", *link, "-Wl,--end-group", "-lm", "-ldl"]
    return Program([compile_c(out, source, *group, name=name)], allocator=allocator)


def on_libc(library: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    """librdkafka with libc's own functions where ours stand: what it would be, had it been compiled without them."""
    renamed = out / "librdkafka-libc.a"
    run(["objcopy", *(f"--redefine-sym={ALLOCATOR}{name}={name}" for name in ALLOCATING), library, renamed])
    return renamed


def engine() -> Program:
    """The engine's benchmarks, built by cargo for its profile of benchmarks."""
    text = run(["cargo", "bench", "--locked", "--no-run", "--message-format=json-render-diagnostics", "-p", "karafka-engine",
                "--bench", "engine"], env=os.environ | {"CARGO_TERM_PROGRESS_WHEN": "never"})
    found = [message["executable"] for message in map(json.loads, text.splitlines()) if message.get("executable")]
    if not found:
        raise NotBuilt("cargo bench named no executable")
    return Program([found[-1], "--bench", "--noplot"])


def free_tasks() -> Program:
    interpreter = ROOT / ".deps/venv/bin/python"
    if not interpreter.exists():
        raise NotBuilt("there is no .deps/venv: tests/setup/install.sh bench makes it")
    run([interpreter, "-c", "import aiokafka"])
    return Program([str(interpreter), str(HERE / "python/free_tasks.py")])


def c(cargo: Cargo, out: pathlib.Path, name: str) -> Program:
    built = library(cargo, "c")
    if not (ROOT / "include/karafka.h").exists():
        raise NotBuilt("there is no include/karafka.h")
    # Found at run time by its SONAME, as an installed one is.
    folder = out / "c"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(built, folder / SONAME)
    return Program([compile_c(out, name, "-I", ROOT / "include", folder / SONAME, f"-Wl,-rpath,{folder}")])


def ruby(cargo: Cargo, out: pathlib.Path, name: str) -> Program:
    interpreter = tool("ruby")
    folder = out / "ruby"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(library(cargo, "ruby"), folder / "libkarafka.so")
    paths = os.pathsep.join([str(folder), str(ROOT / "bindings/ruby/lib")])
    run([interpreter, "-e", "require 'libkarafka'"], env=os.environ | {"RUBYLIB": paths})
    return Program([interpreter, str(HERE / f"ruby/{name}.rb")], {"RUBYLIB": paths})


def python(cargo: Cargo, out: pathlib.Path, name: str) -> Program:
    folder = out / "python"
    shutil.rmtree(folder, ignore_errors=True)
    source = ROOT / "bindings/python/libkarafka"
    built = library(cargo, "python")
    if not source.exists():
        raise NotBuilt(f"there is no {source.relative_to(ROOT)}")
    shutil.copytree(source, folder / "libkarafka", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(built, folder / "libkarafka/_native.abi3.so")
    run([sys.executable, "-c", "import libkarafka"], env=os.environ | {"PYTHONPATH": str(folder)})
    return Program([sys.executable, str(HERE / f"python/{name}.py")], {"PYTHONPATH": str(folder)})
