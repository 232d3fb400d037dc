import pytest

from modernet.errors import InputError
from modernet.recipes import Execution


@pytest.mark.parametrize(
    ("device_batch", "world", "count"), [(None, 1, 1), (None, 4, 4), (64, 1, 2), (32, 1, 4), (32, 2, 4)]
)
def test_a_batch_is_divided_by_the_processes_and_by_what_a_device_takes(
    device_batch: int | None, world: int, count: int
) -> None:
    assert Execution(device_batch=device_batch).micro_batches(128, world) == count


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match=r"^batch_size 128 is not a multiple of device_batch 48; change one$"):
        Execution(device_batch=48).micro_batches(128)
    with pytest.raises(InputError, match="batch_size 128 is not a multiple of device_batch 64 times 4 processes"):
        Execution(device_batch=64).micro_batches(128, 4)
