"""RGB to hue, saturation and value and back, with the float64 results of scikit-image, bit by bit.

Choices are sums weighed by 0 and 1, which are exact: on a CPU, torch takes less time for them than for `where`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def hsv_of(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue, saturation and value in [0, 1], float64 (b, h, w), of images uint8 (b, 3, h, w)."""
    red, green, blue = images.contiguous().double().div_(255).unbind(1)
    value = red.maximum(green).maximum(blue)
    chroma = value - red.minimum(green).minimum(blue)
    saturation = chroma / value.clamp_min(1 / 255)  # 0 of black

    colored = (chroma * 510).clamp_(max=1)  # 0 of grey, else 1
    blue_most = (blue - value).add_(1).floor_().mul_(colored)  # of equal channels the last; of grey red
    green_most = (green - value).add_(1).floor_().mul_(colored).mul_(1 - blue_most)
    red_most = 1 - blue_most - green_most
    difference = red_most * (green - blue) + green_most * (blue - red) + blue_most * (red - green)
    hue = difference.div_(chroma.clamp_min_(1 / 510)).add_(2 * green_most + 4 * blue_most).div_(6)
    return hue.sub_(hue.floor()), saturation, value  # hue is -1/6 or more


def rgb_of(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Return images uint8 (b, 3, h, w), truncated, of hue, saturation and value in [0, 1], float64 (b, h, w)."""
    sixths = hue * 6
    sector = sixths.floor()
    fraction = sixths.sub_(sector)
    odd = sector - 2 * (sector / 2).floor_()
    rising = odd * fraction + (1 - odd) * (1 - fraction)
    most, middle, least = (
        (channel * 255).to(torch.uint8)
        for channel in (value, value * (1 - rising * saturation), value * (1 - saturation))
    )
    images = torch.empty(len(hue), 3, *hue.shape[1:], dtype=torch.uint8, device=hue.device)
    for channel, turn in enumerate((0, 4, 2)):  # red is the most in sectors 5 and 0, green in 1 and 2, blue in 3 and 4
        turned = sector.add(turn).to(torch.uint8)
        turned = turned.minimum(turned - 6)  # modulo 6, as below 0 is above 249
        doubled = 2 * turned
        distance = doubled.clamp(min=5) - doubled.clamp(max=5)  # 5 where it is the most, 3 the middle, 1 the least
        is_most, is_least = distance.clamp(min=4) - 4, 2 - distance.clamp(max=2)
        torch.add(is_most * most + is_least * least, (1 - is_most - is_least) * middle, out=images[:, channel])
    return images
