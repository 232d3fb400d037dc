"""PointNet: its size, and what T-Nets do."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.points.penalties import collected_penalties
from modernet.points.pointnet import TNet
from modernet.points.zoo import create_point_model


def clouds(channels: int = 3) -> Tensor:
    return torch.randn(4, 40, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_parameters_are_the_paper_s() -> None:
    """Table 6 of the paper: 3.5 million, and 0.8 without T-Nets."""
    for name, millions in (("pointnet", 3.5), ("pointnet_vanilla", 0.8)):
        network = create_point_model(name, PointInputs(), 40)
        assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == millions


def test_t_nets_change_nothing_at_first() -> None:
    torch.manual_seed(0)
    network = create_point_model("pointnet", PointInputs(channels=6), 5).double().eval()
    vanilla = create_point_model("pointnet", PointInputs(channels=6), 5, t_nets=False).double().eval()
    missing, unexpected = vanilla.load_state_dict(network.state_dict(), strict=False)
    assert not missing
    assert all(name.startswith(("encoder.coordinates.", "encoder.features.")) for name in unexpected)
    torch.testing.assert_close(network(clouds(6)), vanilla(clouds(6)), rtol=1e-12, atol=1e-12)


def test_a_t_net_turns_coordinates_and_leaves_what_else_points_have() -> None:
    torch.manual_seed(0)
    network = create_point_model("pointnet", PointInputs(channels=6), 5).double().eval()
    turn = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    with torch.no_grad():
        network.encoder.coordinates.out.bias.copy_(turn.flatten())
    x = clouds(6)
    turned = torch.cat([x[..., :3] @ turn, x[..., 3:]], -1)
    expected = network.encoder.before[0](turned)
    torch.testing.assert_close(network.encoder(x)[0], expected, rtol=1e-12, atol=1e-12)


def test_a_t_net_predicts_one_matrix_for_each_cloud() -> None:
    torch.manual_seed(0)
    net = TNet(3).double().eval()
    eye = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(net(clouds()), eye.expand(4, 3, 3), rtol=0, atol=0)
    torch.nn.init.normal_(net.out.weight)
    matrices = net(clouds())
    assert not torch.allclose(matrices[0], matrices[1])
    torch.testing.assert_close(net(clouds().flip(1)), matrices, rtol=1e-12, atol=1e-12)


def test_features_are_penalized_for_a_matrix_that_is_no_rotation() -> None:
    torch.manual_seed(0)
    network = create_point_model("pointnet", PointInputs(), 5).double().eval()
    with collected_penalties() as penalties:
        network(clouds())
    assert [penalty.item() for penalty in penalties] == [0]
    matrix = torch.randn(64, 64, dtype=torch.float64)
    with torch.no_grad():
        network.encoder.features.out.bias.copy_(matrix.flatten())
    with collected_penalties() as penalties:
        network(clouds())
    network(clouds())  # nobody collects
    (penalty,) = penalties
    expected = 0.001 * torch.linalg.matrix_norm(torch.eye(64) - matrix @ matrix.T) ** 2
    torch.testing.assert_close(penalty, expected, rtol=1e-12, atol=0)
    penalty.backward()
    assert network.encoder.features.out.weight.grad.any()


def test_scenes_are_segmented_without_t_nets() -> None:
    network = create_point_model("pointnet", PointInputs(channels=9), 13, classes_of="points")
    assert not any(isinstance(module, TNet) for module in network.modules())
    assert network.encoder.widths == (64, 64, 64, 128, 1024)
