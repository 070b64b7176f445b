#!/usr/bin/env python3
"""Runs a GGUF file in llama.cpp: standard input has {"model", "ids": [[…]], "texts": […], "logits": path}, standard output
gets {"tokens": [[…]]}, the ids of the texts; the logits of all positions go to the path, [texts of ids, positions, words].
A process of its own, since llama.cpp brings its own OpenMP."""
import json
import sys

import numpy as np
from cyllama.llama import llama_cpp as llama

F32 = 0  # a type of the cache's


class Count(int):
    """The package asks for the number of words by an attribute that its model lacks, with and without a call."""

    def __call__(self):
        return int(self)


class Model(llama.LlamaModel):
    @property
    def n_vocab(self):
        return Count(self.get_vocab().n_vocab)


def logits(model, ids):
    options = llama.LlamaContextParams()
    options.n_ctx = options.n_batch = options.n_ubatch = max(len(ids), 32)
    options.n_threads = options.n_threads_batch = 2
    options.type_k = options.type_v = F32
    options.flash_attn_type = 0
    context = llama.LlamaContext(model, options)
    batch = llama.LlamaBatch(n_tokens=len(ids), embd=0, n_seq_max=1)
    for position, token in enumerate(ids):
        batch.add(token, position, [0], True)
    context.decode(batch)
    return np.array([np.array(context.get_logits_ith(i), np.float32) for i in range(len(ids))])


request = json.load(sys.stdin)
llama.disable_logging()
llama.llama_backend_init()
model = Model(request["model"], llama.LlamaModelParams())
if request["ids"]:
    np.save(request["logits"], np.array([logits(model, ids) for ids in request["ids"]]))
vocab = model.get_vocab()
print(json.dumps({"tokens": [list(vocab.tokenize(text, True, True)) for text in request["texts"]]}))
