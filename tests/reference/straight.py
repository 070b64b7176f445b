"""Straight-through differentiation, for the scripts here that make reference dumps with torch."""
import torch


def through(function):
    """A function whose derivative is taken to be 1."""
    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return function(x)

        @staticmethod
        def backward(ctx, g):
            return g
    return Through.apply


rne = through(torch.round)
to_half = through(lambda x: x.half().float())
