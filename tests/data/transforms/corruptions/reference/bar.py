"""The corruptions of ImageNet-C-bar for one image, with numpy and scipy in float64, as the published code defines them.

Where that code calls a function for each pixel, these call it for all of them. Draws are in the order and the shapes of
modernet's, so that equal streams give equal corruptions. Images may have any size: as in modernet, lengths are shares
of the shorter side.
"""

from __future__ import annotations

import numpy as np
from scipy.fftpack import ifft2
from scipy.ndimage import gaussian_filter

LUMA = np.array([0.2126, 0.7152, 0.0722])


def pixels(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h, w = image.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float64)
    return y, x


def grey(noise: np.ndarray) -> np.ndarray:
    return np.stack((noise, noise, noise), axis=2)


def single_frequency_greyscale(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    first = rng.uniform(-np.pi, np.pi)
    frequency = np.array([first, abs(first) * rng.uniform(-1, 1)])
    if rng.integers(0, 2):
        frequency = frequency[::-1]
    phase = rng.uniform(0, 2 * np.pi)
    y, x = pixels(image)
    noise = np.sin(x * frequency[0] + y * frequency[1] + phase)
    return np.clip(image + 19.6 * s * grey(noise), 0, 255).astype(np.uint8)


def cocentric_sine_waves(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    h, w = image.shape[:2]
    x0, y0 = rng.uniform(0, 1, 2) * [w, h]
    frequency, amplitude, ring = (rng.uniform(0, high) for high in (10, min(h, w) / 10, min(h, w) / 10))
    y, x = pixels(image)
    angle = np.arctan2(x - x0, y - y0) * frequency
    distance = ((np.sqrt((x - x0) ** 2 + (y - y0) ** 2) + np.sin(angle) * amplitude) % ring) / ring
    return np.clip(image + 12.8 * s * grey(distance - 0.5), 0, 255).astype(np.uint8)


def plasma_noise(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    time = rng.uniform(0, 6 * np.pi)
    iterations = rng.integers(4, 7)
    sharpness = rng.uniform(0.5, 1)
    scale = rng.uniform(0.075, 0.2) * min(image.shape[:2])
    y, x = pixels(image)
    u, v = x / scale, y / scale
    i = np.array([1.0, 1.0, 1.0, 0.0])
    for _ in range(iterations):
        r = np.array([np.cos(v * i[0] - i[3] + time / i[1]), np.sin(u * i[0] - i[3] + time / i[1])]) / i[2]
        r = r + np.array([-r[1], r[0]]) * 0.3
        u, v = u + r[0], v + r[1]
        i *= np.array([1.93, 1.15, 2.25 - sharpness, time * i[1]])
    noise = np.stack((np.sin(u - time), np.sin((u + v + np.sin(time)) * 0.5), np.sin(v + time)), axis=2)
    intensity = 6.4 * s
    return np.clip((1 - intensity / 255) * image + intensity * noise, 0, 255).astype(np.uint8)


class PerlinNoise:
    def __init__(self, rng: np.random.Generator) -> None:
        g = rng.integers(-256, 256, (256, 2)) / 256
        self.g = g / np.linalg.norm(g, axis=1, keepdims=True)
        self.p = np.argsort(rng.uniform(size=256))

    def noise(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        bx0, by0 = np.floor(x).astype(int) % 256, np.floor(y).astype(int) % 256
        bx1, by1 = (bx0 + 1) % 256, (by0 + 1) % 256
        rx0, ry0 = x % 1, y % 1
        rx1, ry1 = rx0 - 1, ry0 - 1

        def product(bx: np.ndarray, by: np.ndarray, rx: np.ndarray, ry: np.ndarray) -> np.ndarray:
            g = self.g[self.p[(self.p[bx] + by) % 256]]
            return rx * g[..., 0] + ry * g[..., 1]

        sx, sy = rx0**2 * (3 - 2 * rx0), ry0**2 * (3 - 2 * ry0)
        u, v = product(bx0, by0, rx0, ry0), product(bx1, by0, rx1, ry0)
        a = u + sx * (v - u)
        u, v = product(bx0, by1, rx0, ry1), product(bx1, by1, rx1, ry1)
        b = u + sx * (v - u)
        return 1.5 * (a + sy * (b - a))


def perlin_noise(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    perlin = PerlinNoise(rng)
    y, x = pixels(image)
    step = 32 * min(image.shape[:2]) / 224
    turbulence = sum(np.abs(perlin.noise(f * y / step, f * x / step)) / f for f in (1, 2, 4, 8, 16))
    noise = grey(np.clip(0.5 * turbulence + 0.5, 0, 1))
    alpha = 0.05 * s
    return np.clip((1 - alpha) * image + 255 * alpha * noise, 0, 255).astype(np.uint8)


def spectral_noise(phases: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Return noise of some power, centred; the phases are those of frequencies from 0 upwards along rows."""
    h, w = power.shape
    phases = np.concatenate((phases, phases[::-1, ::-1][:, w % 2 :]), axis=1)
    power = np.roll(np.roll(power, -(h // 2), axis=0), -(w // 2), axis=1)
    noise = np.real(ifft2(power * (np.cos(phases) + np.sin(phases) * 1j)))
    return noise / np.std(noise)


def spectral_distance(image: np.ndarray) -> np.ndarray:
    h, w = image.shape[:2]
    y, x = pixels(image)
    return np.sqrt(((y - h // 2) * min(h, w) / h) ** 2 + ((x - w // 2) * min(h, w) / w) ** 2)


def blue_noise_sample(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    h, w = image.shape[:2]
    phases = rng.uniform(0, 2 * np.pi, (h, (w + 1) // 2))
    mask = spectral_noise(phases, spectral_distance(image)) > 0.3 * s - 2.5
    return np.clip(image * mask[..., None], 0, 255).astype(np.uint8)


def brownish_noise(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    h, w = image.shape[:2]
    phases = rng.uniform(0, 2 * np.pi, (3, h, (w + 1) // 2))
    power = 1 / (spectral_distance(image) ** 2 + 1)
    noise = np.stack([spectral_noise(each, power) for each in phases], axis=2)
    return np.clip(image + 6.4 * s * noise, 0, 255).astype(np.uint8)


def checkerboard_cutout(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    side = min(image.shape[:2])
    angle = rng.uniform(0, 2 * np.pi)
    cell = max(rng.uniform(0.1, 0.25) * side, 1)
    n = int(4 * side // cell)
    grid = rng.uniform(0, 1, (40, 40))[:n, :n] < 0.1 * s
    y, x = pixels(image)
    nx = (np.cos(angle) * y + np.sin(angle) * x) / cell
    ny = (-np.sin(angle) * y + np.cos(angle) * x) / cell
    chosen = grid[nx.astype(int) % n, ny.astype(int) % n]  # towards zero; below it, an index counts from the end
    cut = ((nx % 2).astype(int) == (ny % 2).astype(int)) & chosen
    return np.where(cut[..., None], 128, image).astype(np.uint8)


def star(image: np.ndarray, centre: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rays = len(lengths)
    y, x = pixels(image)
    dy, dx = y - centre[0], x - centre[1]
    d = (np.arctan2(dx, dy) + np.pi) / (2 * np.pi) * rays
    i = d.astype(int)
    f = d - i
    length = lengths[i % rays] + f * (lengths[(i + 1) % rays] - lengths[i % rays])
    g = length**2 / (dy**2 + dx**2 + 1e-4)
    return g[..., None], 1 - (f[..., None] - 0.5) ** 2


def sparkles(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    h, w = image.shape[:2]
    centres = rng.uniform(0, 1, (5, 2)) * [h, w]
    rays = rng.integers(50, 200, 5)
    radius = 0.01 * s * min(h, w)
    normal = rng.standard_normal((5, 199), dtype=np.float32)
    for centre, count, each in zip(centres, rays, normal, strict=True):
        g, bump = star(image, centre, np.maximum(1, radius + 0.25 * radius * each[:count]))
        image = image + np.clip(bump * g, 0, 1) * (255 - image)
    return np.clip(image, 0, 255).astype(np.uint8)


def inverse_sparkles(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    h, w = image.shape[:2]
    centre = rng.uniform(0.25, 0.75, 2) * [h, w]
    rays = rng.integers(50, 200)
    radius = 0.25 * min(h, w)
    normal = rng.standard_normal(199, dtype=np.float32)
    g, bump = star(image, centre, radius + 0.25 * radius * normal[:rays])
    f = np.clip(bump * g ** (0.13 * s), 0, 1)
    return np.clip(255 + f * (image.astype(np.float64) - 255), 0, 255).astype(np.uint8)


def caustics(image: np.ndarray, time: float, size: float) -> np.ndarray:
    p = (np.stack(pixels(image)) / size % 1) * 6.28318530718 - 250
    i, c = p, 1.0
    for n in range(5):
        t = time * (1 - 3.5 / (n + 1))
        i = p + np.stack((np.cos(t - i[0]) + np.sin(t + i[1]), np.sin(t - i[1]) + np.cos(t + i[0])))
        c = c + 1 / np.sqrt((p[0] / (np.sin(i[0] + t) / 0.005)) ** 2 + (p[1] / (np.cos(i[1] + t) / 0.005)) ** 2)
    return grey(np.clip(np.abs(1.17 - (c / 5) ** 1.4) ** 8, 0, 1))


def refract(normal: np.ndarray, eta: float) -> np.ndarray:
    """Refract light from straight above at surfaces with these normals, (..., 3)."""
    incident = np.array([0.0, 0.0, 1.0])
    cosine = normal @ incident
    flat = np.abs(cosine) >= 1 - 1e-3
    out = np.where(flat[..., None], incident, 0)
    steep = normal[~flat]
    angle = np.arcsin(np.sin(np.arccos(cosine[~flat])) / eta)
    spectator = np.cross(incident, steep)
    spectator /= np.linalg.norm(spectator, axis=-1, keepdims=True)
    rotation = np.stack((steep, np.cross(steep, spectator), spectator), axis=-2)
    unrotated = np.stack((np.cos(angle), np.sin(angle), np.zeros_like(angle)), axis=-1)
    out[~flat] = (np.linalg.inv(rotation) @ unrotated[..., None])[..., 0]
    return out


def bilinear(image: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate an image that is black outside."""
    h, w = image.shape[:2]
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        inside = (row >= 0) & (row < h) & (column >= 0) & (column < w)
        return image[row.clip(0, h - 1), column.clip(0, w - 1)] * inside[..., None]

    down, right = (y - top)[..., None], (x - left)[..., None]
    above = at(top, left) * (1 - right) + at(top, left + 1) * right
    below = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return above * (1 - down) + below * down


def caustic_refraction(image: np.ndarray, rng: np.random.Generator, s: float) -> np.ndarray:
    side = min(image.shape[:2])
    time = rng.uniform(0.5, 2)
    size = rng.uniform(0.75, 1.25) * side
    luma = np.pad(gaussian_filter(caustics(image, time, size), sigma=1) @ LUMA, 1)
    along_y, along_x = luma[2:, 1:-1] - luma[:-2, 1:-1], luma[1:-1, 2:] - luma[1:-1, :-2]
    normal = np.stack((along_y, along_x, np.ones_like(along_y)), axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    shift = np.round(refract(normal, 4.0) * 0.05 * s * side, 3)
    y, x = pixels(image)
    out = bilinear(image / 255, y + shift[..., 0], x + shift[..., 1])
    out += 0.2 * s * (along_y - along_x)[..., None]
    return (np.clip(out, 0, 1) * 255).astype(np.uint8)


REFERENCE = {
    function.__name__: function
    for function in (
        caustic_refraction,
        inverse_sparkles,
        sparkles,
        perlin_noise,
        blue_noise_sample,
        plasma_noise,
        checkerboard_cutout,
        cocentric_sine_waves,
        single_frequency_greyscale,
        brownish_noise,
    )
}
