#!/usr/bin/env python3
"""Writes picture_scores_reference.txt: features of a few pictures from the shipped network as PyTorch computes them,
Fréchet distances by NumPy and SciPy, PSNR and SSIM by scikit-image.

Pictures and features are made by formula (see wave), so that the test can make them too.

usage: picture_scores_reference.py TOP_SRCDIR > tests/reference/picture_scores_reference.txt
needs: torch, safetensors, numpy, scipy, scikit-image
"""
import os
import sys

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

net = load_file(os.path.join(sys.argv[1], "share/models/demo-features/model.safetensors"))


def wave(count, stride, bend):
    """F32 values in [-1, 1]: a sine whose stride grows"""
    i = np.arange(count, dtype=np.float64)
    return np.sin(stride * i + bend * i * i).astype(np.float32)


def line(name, values):
    print(name + " " + " ".join(f"{v:.10g}" for v in np.asarray(values, dtype=np.float64).ravel()))


def features(x):
    """x [n, 28, 28, 1]"""
    x = torch.from_numpy(x).double().permute(0, 3, 1, 2)
    w = {k: v.double() for k, v in net.items()}
    x = F.relu(F.conv2d(x, w["conv1.weight"], w["conv1.bias"], stride=2, padding=1))
    x = F.relu(F.conv2d(x, w["conv2.weight"], w["conv2.bias"], stride=2, padding=1))
    return F.relu(F.linear(x.flatten(1), w["fc1.weight"], w["fc1.bias"])).numpy()


def frechet(a, b):
    """Two ways that must agree; where covariances are singular, SciPy's root is not to be trusted"""
    a, b = a.astype(np.float64), b.astype(np.float64)
    s, t = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    base = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t)
    by_values = base - 2 * np.sqrt(np.linalg.eigvals(s @ t).real.clip(min=0)).sum()
    if min(np.linalg.eigvalsh(s)[0], np.linalg.eigvalsh(t)[0]) > 1e-6:
        by_root = base - 2 * np.trace(scipy.linalg.sqrtm(s @ t)).real
        assert abs(by_root - by_values) < 1e-8 * base
    return by_values


def ssim(a, b):
    return structural_similarity(a.astype(np.float64), b.astype(np.float64), data_range=2, gaussian_weights=True,
                                 sigma=1.5, use_sample_covariance=False, channel_axis=2)


print("# made by picture_scores_reference.py")
for row in features(wave(3 * 784, 0.05, 2e-5).reshape(3, 28, 28, 1)):
    line("features", row)
# n of the first, n of the second, features
for na, nb, d in [(40, 60, 5), (200, 150, 16), (4, 7, 12), (3, 90, 8)]:
    a = wave(na * d, 0.7, 0.013).reshape(na, d)
    b = 0.6 * wave(nb * d, 1.1, 0.017).reshape(nb, d) + np.float32(0.1)
    line(f"frechet {na} {nb} {d}", [frechet(a, b.astype(np.float32))])
for h, w, c in [(28, 28, 1), (11, 11, 1), (17, 32, 3)]:
    a = wave(h * w * c, 0.11, 1e-4)
    b = (a + np.float32(0.2) * wave(h * w * c, 0.9, 3e-4)).astype(np.float32)
    a, b = a.reshape(h, w, c), b.reshape(h, w, c)
    psnr = peak_signal_noise_ratio(a.astype(np.float64), b.astype(np.float64), data_range=2)
    sqnr = 10 * np.log10((a.astype(np.float64) ** 2).sum() / ((a.astype(np.float64) - b) ** 2).sum())
    line(f"pair {h} {w} {c}", [psnr, sqnr, ssim(a, b)])
