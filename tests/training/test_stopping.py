import os
import signal
import threading

import pytest

from modernet.training import stop_requested_by_signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_a_request(number: signal.Signals) -> None:
    with stop_requested_by_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()


def test_a_second_ctrl_c_stops_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), stop_requested_by_signal(grace_s=0.0):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_signals_that_a_launcher_forwards_are_one_request() -> None:
    with stop_requested_by_signal() as stop:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stop()


def test_signal_handlers_are_restored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_requested_by_signal():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_outside_the_main_thread_no_signal_is_caught() -> None:
    answers: list[bool] = []

    def ask() -> None:
        with stop_requested_by_signal() as stop:
            answers.append(stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    assert answers == [False]
