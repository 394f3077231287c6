"""How a program ends: Ctrl-C, signals, sys.exit anywhere, and the interpreter's end while the app runs.

Each is a process of its own, and its exit status is what a shell would see.
"""

from __future__ import annotations

import signal
import time

import pytest

from conftest import Program


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_ctrl_c_is_obeyed_within_a_second(kind: str) -> None:
    program = Program(f"""
        app = make()
        @app.consumer("t")
        {kind} handle(batch):
            print("handling")
        fill()
        try:
            app.run()
        except KeyboardInterrupt:
            print("interrupted", app.phase)
            sys.exit(5)
    """)
    program.read_until("handling")
    before = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    program.read_until("interrupted stopped")
    took = time.monotonic() - before
    # Until here the app decides; the interpreter and the embedded broker take their own time to end.
    assert took < 1.0, f"{took:.2f} s"
    status, _, errors = program.end()
    assert (status, errors) == (5, ""), errors


def test_ctrl_c_before_anything_was_assigned() -> None:
    program = Program("""
        app = libkarafka.App(bootstrap_servers="127.0.0.1:9")
        app.consumer("t")(lambda batch: None)
        app.on("app.running", lambda event: print("running"))
        app.on("error.occurred", print)
        app.run()
    """)
    program.read_until("running")
    before = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    status, _, errors = program.end()
    assert status == -signal.SIGINT, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert time.monotonic() - before < 1.0


def test_a_second_ctrl_c_does_not_wait_for_handlers() -> None:
    program = Program("""
        app = make()
        @app.consumer("t")
        def handle(batch):
            print("handling")
            time.sleep(60)
        app.on("app.stopping", lambda event: print("stopping"))
        fill()
        app.run()
    """)
    program.read_until("handling")
    program.process.send_signal(signal.SIGINT)
    program.read_until("stopping")
    before = time.monotonic()
    program.process.send_signal(signal.SIGINT)
    status, _, errors = program.end()
    assert status == -signal.SIGINT, errors
    assert time.monotonic() - before < 8


@pytest.mark.parametrize("options", ["", "signals=True"])
def test_a_signal_that_comes_just_before_the_wait_is_heard(options: str) -> None:
    # interrupt_main is a signal without what ends a wait of the main thread: as one that came the moment before.
    program = Program(
        """
        import _thread, signal
        app = make()
        @app.consumer("t")
        def handle(batch):
            _thread.interrupt_main(signal.SIGTERM)
        fill(1)
        app.run(%s)
        print("returned", app.phase)
        own = os.pipe()
        os.set_blocking(own[1], False)
        signal.signal(signal.SIGUSR1, lambda number, frame: print("heard") or again.stop())
        again = make()
        @again.consumer("t")
        def handle(batch):
            _thread.interrupt_main(signal.SIGUSR1)
        print(signal.set_wakeup_fd(own[1]))
        fill(1)
        again.run()
        print(signal.set_wakeup_fd(-1) == own[1], again.phase)
        """
        % options
    )
    status, out, errors = program.end()
    assert (status, errors) == (0, "") and out.splitlines() == ["returned stopped", "-1", "heard", "True stopped"]


def test_sigterm_stops_gracefully_and_run_returns() -> None:
    program = Program("""
        import signal
        app = make()
        @app.consumer("t")
        def handle(batch):
            print("handling")
            time.sleep(0.3)
            print("handled")
        fill(1)
        app.run()
        print("returned", app.phase, signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
    """)
    program.read_until("handling")
    program.process.terminate()
    status, out, errors = program.end()
    assert (status, errors) == (0, "")
    assert "handled" in out and "returned stopped True" in out


def test_a_programs_own_signal_handler_is_left_alone() -> None:
    program = Program("""
        import signal
        class Reload(Exception):
            pass
        def reload(*_):
            raise Reload
        signal.signal(signal.SIGTERM, reload)
        app = make()
        @app.consumer("t")
        def handle(batch):
            print("handling")
        fill(1)
        try:
            app.run()
        except Reload:
            print("reloading", app.phase)
    """)
    program.read_until("handling")
    program.process.terminate()
    status, out, errors = program.end()
    assert (status, errors) == (0, "")
    assert "reloading stopped" in out


ENDS = {
    "the program's last line": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "an exception": ("raise ValueError('the program')", 1),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", -signal.SIGINT),
}

HANDLERS = {
    "idle": "def handle(batch):\n    begun.set()",
    "sleeping": "def handle(batch):\n    begun.set()\n    time.sleep(0.3)",
    "computing": "def handle(batch):\n    begun.set()\n    sum(i * i for i in range(3_000_000))",
    "failing": "def handle(batch):\n    begun.set()\n    raise ValueError",
    "async": "async def handle(batch):\n    begun.set()\n    await asyncio.sleep(0.3)",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("handler", HANDLERS)
def test_the_interpreter_ends_cleanly_while_the_app_runs(end: str, handler: str) -> None:
    line, wanted = ENDS[end]
    program = Program(
        "begun = threading.Event()\nimport logging\nlogging.disable()\napp = make(concurrency=8)\n"
        + '@app.consumer("t", virtual_partitions="by_key", retry_backoff=10)\n'
        + HANDLERS[handler]
        + f"\nfill(100)\napp.start()\nassert begun.wait(15)\n{line}\n"
    )
    status, out, errors = program.end()
    assert status == wanted, errors
    for sign in ("Fatal Python error", "panicked", "FATAL", "Aborted"):
        assert sign not in errors, errors


@pytest.mark.parametrize(
    "waits",
    [
        "app.join()",
        "app.run()",
        "list(app.events())",
        "lazy.produce('t', b'').wait()",
        "lazy.flush()",
    ],
)
def test_the_interpreter_ends_cleanly_while_a_daemon_thread_waits(waits: str) -> None:
    program = Program(f"""
        app = make()
        lazy = libkarafka.Producer(bootstrap_servers="127.0.0.1:9", close_timeout=100)
        lazy.produce("t", b"")
        begun = threading.Event()
        app.consumer("t")(lambda batch: begun.set())
        fill()
        {"pass" if waits == "app.run()" else "app.start()"}
        def wait():
            while True:
                {waits}
        threading.Thread(target=wait, daemon=True).start()
        assert begun.wait(15)
    """)
    status, _, errors = program.end()
    assert status == 0, errors
    assert "Fatal" not in errors


@pytest.mark.parametrize("sleep", ["time.sleep(3600)", "exec('while True: pass')"])
def test_the_interpreter_does_not_wait_for_handlers_longer_than_it_may(sleep: str) -> None:
    program = Program(f"""
        app = make(shutdown_timeout="300ms")
        begun = threading.Event()
        @app.consumer("t")
        def handle(batch):
            begun.set()
            {sleep}
        fill()
        app.start()
        assert begun.wait(15)
        sys.exit(4)
    """)
    status, _, errors = program.end(20)
    assert status == 4, errors
    assert "Fatal" not in errors


@pytest.mark.parametrize(
    ("kind", "ending", "wanted"),
    [
        ("def", "sys.exit(9)", 9),
        ("async def", "sys.exit(9)", 9),
        ("def", "raise SystemExit", 0),
        ("def", "sys.exit('why')", 1),
        ("def", "raise KeyboardInterrupt", -signal.SIGINT),
        ("async def", "raise KeyboardInterrupt", -signal.SIGINT),
        ("def", "raise MemoryError", 1),
    ],
)
def test_a_handler_that_ends_the_program_ends_it(kind: str, ending: str, wanted: int) -> None:
    program = Program(f"""
        app = make()
        @app.consumer("t")
        {kind} handle(batch):
            {ending}
        fill()
        app.run()
        print("not reached")
    """)
    status, out, errors = program.end()
    assert status == wanted, errors
    assert "not reached" not in out


def test_os_fork_leaves_a_child_that_makes_its_own() -> None:
    program = Program("""
        app = make()
        begun = threading.Event()
        app.consumer("t")(lambda batch: begun.set())
        fill()
        app.start()
        assert begun.wait(15)
        delivery = producer.produce("t", b"")
        delivery.wait()
        told, sent = app.events(), producer.events()
        child = os.fork()
        if child == 0:
            refused = 0
            for use in (
                app.join, app.start, app.quiet, app.resume, lambda: app.resize(3),
                lambda: producer.produce("t", b""), lambda: producer.flush(1), delivery.wait,
                lambda: broker.create_topic("u"),
                app.events, lambda: next(told), lambda: next(producer.events()), lambda: next(sent),
            ):
                try:
                    use()
                except libkarafka.ForkedError as error:
                    refused += "fork" in str(error) or "parent" in str(error)
            app.stop()
            del producer, delivery
            own = libkarafka.EmbeddedBroker("child")
            own.create_topic("c", 1)
            seen = []
            second = libkarafka.App(bootstrap_servers=own.address)
            @second.consumer("c")
            def handle(batch):
                seen.extend(batch.values())
                second.stop()
            with libkarafka.Producer(bootstrap_servers=own.address) as mine:
                mine.produce("c", b"child")
            second.run()
            sys.exit(10 + refused if seen == [b"child"] else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print("phase", app.phase)
        sys.exit(status)
    """)
    status, out, errors = program.end()
    assert status == 23, errors
    assert "phase running" in out


def test_a_child_of_a_running_app_ends_by_itself() -> None:
    program = Program("""
        app = make()
        begun = threading.Event()
        app.consumer("t")(lambda batch: begun.set())
        fill()
        app.start()
        assert begun.wait(15)
        child = os.fork()
        if child == 0:
            sys.exit(6)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """)
    status, _, errors = program.end()
    assert status == 6, errors


def test_a_child_awaits_deliveries_whose_parent_was_awaiting_some() -> None:
    program = Program("""
        async def many():
            while True:
                await asyncio.gather(*[once(producer.produce("t", b"x")) for _ in range(200)])
        async def once(delivery):
            await delivery
        threading.Thread(target=lambda: asyncio.run(many()), daemon=True).start()
        producer.produce_sync("t", b"x")
        def child(number):
            async def use():
                own = libkarafka.EmbeddedBroker(str(number))
                with libkarafka.Producer(bootstrap_servers=own.address) as mine:
                    await mine.produce("t", b"y")
            # A thread of its own: a loop runs on none that its parent had.
            thread = threading.Thread(target=lambda: asyncio.run(use()))
            thread.start()
            thread.join()
            os._exit(0)
        for number in range(10):
            pid = os.fork()
            if pid == 0:
                child(number)
            if os.waitpid(pid, 0)[1] != 0:
                os._exit(1)
        os._exit(0)
    """)
    status, _, errors = program.end(60)
    assert status == 0, errors


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_ctrl_c_in_the_midst_of_the_start_stops_what_has_begun(kind: str) -> None:
    program = Program(f"""
        import signal
        app = make()
        @app.consumer("t")
        {kind} handle(batch):
            pass
        class Interrupted:
            def __init__(self, native):
                self.native = native
            def __getattr__(self, name):
                return getattr(self.native, name)
            def start(self, *arguments):
                self.native.start(*arguments)
                # Just before the call returns to Python.
                signal.raise_signal(signal.SIGINT)
        app._native = Interrupted(app._native)
        try:
            app.run()
        except KeyboardInterrupt:
            print("interrupted", app.phase)
    """)
    status, out, errors = program.end()
    assert (status, out) == (0, "interrupted stopped\n"), errors


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(("ending", "wanted"), [("return", 0), ("sys.exit(4)", 4), ("raise ValueError", 1)])
def test_a_child_that_comes_back_from_the_handler_ends(kind: str, ending: str, wanted: int) -> None:
    program = Program(f"""
        app = make()
        parent = os.getpid()
        @app.consumer("t", max_messages=1)
        {kind} handle(batch):
            child = os.fork()
            if child == 0:
                {ending}
                return
            print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.getpid() == parent)
            app.stop()
        fill()
        app.run()
        print("phase", app.phase)
    """)
    status, out, errors = program.end()
    assert status == 0, errors
    assert f"child {wanted} True" in out
    assert "phase stopped" in out


def test_a_log_that_nobody_reads_holds_up_neither_messages_nor_the_end() -> None:
    program = Program("""
        app = make(shutdown_timeout="2s")
        broker.create_topic("fails", 1)
        producer.produce_sync("fails", "1")
        failed = [0]
        @app.consumer("fails", retry_backoff=1, retry_backoff_max=1)
        def fail(batch):
            failed[0] += 1
            raise ValueError("x" * 2000)
        @app.consumer("t")
        def handle(batch):
            print("handled")
            app.stop()
        app.start()
        # More than a pipe holds.
        while failed[0] < 100:
            threading.Event().wait(0.01)
        fill()
        print("stopped", app.join(20))
        # Python's own last words would wait for a reader.
        os._exit(0)
    """)
    program.read_until("handled")
    program.read_until("stopped True")
    assert program.process.wait(15) == 0


def test_what_was_produced_is_delivered_before_the_end() -> None:
    program = Program("""
        lazy = libkarafka.Producer(bootstrap_servers="embedded://", linger="300ms")
        delivery = lazy.produce("t", b"last words")
        class Last:
            def __del__(self, delivery=delivery):
                print("delivered", delivery.done())
        keep = Last()
        print("now", delivery.done())
    """)
    status, out, errors = program.end()
    assert (status, errors) == (0, "")
    assert "now False" in out and "delivered True" in out


@pytest.mark.parametrize("closer", ["threading.Thread(target=away.close, daemon=True).start()", "away.close()"])
def test_the_interpreter_waits_for_who_closes_a_producer(closer: str) -> None:
    program = Program(
        f"""
        import signal
        away = libkarafka.Producer(bootstrap_servers="127.0.0.1:1", close_timeout="1s")
        delivery = away.produce("t", b"x", label="order 7")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        {closer}
        time.sleep(20)
        """
    )
    _, _, errors = program.end()
    assert "KeyboardInterrupt" in errors
    assert "order 7" in errors, "what was given up is told, though nobody waited for it any more"
