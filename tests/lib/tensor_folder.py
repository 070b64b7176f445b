"""Safetensors files and model folders of one such file, read and written for tests that look into or change them."""
import json
import os
import struct


def read_tensors(path):
    """{name: [dtype, shape, bytes]}"""
    with open(path, "rb") as f:
        data = f.read()
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    return {name: [t["dtype"], t["shape"], data[8 + n + t["data_offsets"][0]:8 + n + t["data_offsets"][1]]]
            for name, t in header.items()}


def write_tensors(path, tensors):
    header, blob = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(blob), len(blob) + len(content)]}
        blob += bytes(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + blob)


def read_folder(folder):
    """({name: [dtype, shape, bytes]}, config)"""
    with open(os.path.join(folder, "config.json")) as f:
        return read_tensors(os.path.join(folder, "model.safetensors")), json.load(f)


def write_folder(folder, tensors, config):
    write_tensors(os.path.join(folder, "model.safetensors"), tensors)
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
