from __future__ import annotations

import torch

from modernet.machine.settings import gpu_settings, set_tf32


def test_tf32_covers_products_and_convolutions_and_is_restored() -> None:
    def settings() -> tuple[str, bool, bool]:
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark

    before = settings()
    with gpu_settings(torch.device("cuda")):
        set_tf32(True)
        assert settings() == ("high", True, True)
        set_tf32(False)
        assert settings() == ("highest", False, True)
    assert settings() == before
